//! Runs networks on images: each thread has its own copy of the network.

use crate::images::{EncodedImage, ImageLimits, Unreadable, decode};
use anyhow::{Context, Result};
use image::RgbaImage;
use mobilenet::image::{Frame, ImageOptions, Resizer};
use mobilenet::{Classifier, Input, Weights};
use rayon::prelude::*;

/// The probability of each class for the image `name`.
pub fn probabilities<'a>(
    classifier: &'a mut Classifier,
    name: &str,
    pixels: &RgbaImage,
) -> Result<&'a [f32]> {
    frame(pixels)
        .and_then(|frame| classifier.set_frame(&frame, &ImageOptions::default()))
        .with_context(|| format!("image `{name}`"))?;
    Ok(classifier.run())
}

fn frame(pixels: &RgbaImage) -> mobilenet::Result<Frame<'_>> {
    Frame::new(pixels, pixels.width() as usize, pixels.height() as usize)
}

/// An image as `resolution × resolution` RGB bytes, which calibration takes.
pub fn rgb(name: &str, pixels: &RgbaImage, weights: &Weights) -> Result<Vec<u8>> {
    let side = weights.architecture.resolution;
    let mut rgb = vec![0; side * side * 3];
    let normalization = &weights.architecture.normalization;
    frame(pixels)
        .and_then(|frame| {
            let target = Input::U8(&mut rgb);
            Resizer::new().resize(&frame, &ImageOptions::default(), side, normalization, target)
        })
        .with_context(|| format!("image `{name}`"))?;
    Ok(rgb)
}

/// The pixels of an image, or `None` where it cannot be decoded and is now one of the `unreadable`.
pub fn decoded(
    index: usize,
    image: &EncodedImage,
    limits: ImageLimits,
    unreadable: &Unreadable,
) -> Option<RgbaImage> {
    let decoded = decode(&image.bytes, limits);
    decoded.inspect_err(|error| unreadable.add(index, &image.name, error)).ok()
}

/// Number of threads.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// Distributes `items` over `workers` and gives the results in the order of the items.
pub fn distribute<W: Send, T: Sync, R: Send>(
    workers: &mut [W],
    items: &[T],
    run: impl Fn(&mut W, &T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let share = items.len().div_ceil(workers.len()).max(1);
    let shares = items.par_chunks(share).zip(workers.par_iter_mut());
    let done = shares.map(|(items, worker)| items.iter().map(|item| run(worker, item)).collect());
    let done: Vec<Vec<R>> = done.collect::<Result<_>>()?;
    Ok(done.into_iter().flatten().collect())
}
