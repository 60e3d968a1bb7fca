//! Runs networks on pictures: one copy of a network a thread, each picture decoded, resized and answered on its own.

use crate::pictures::Picture;
use anyhow::{Context, Result};
use image::RgbaImage;
use mobilenet::Weights;
use mobilenet::image::{Frame, ImageOptions, Resizer};
use mobilenet::{Classifier, Input};
use rayon::prelude::*;

/// Pictures that are held at once: enough for every thread to be busy.
pub const BATCH: usize = 64;

/// One probability per class for the image called `name`.
pub fn answer<'a>(classifier: &'a mut Classifier, name: &str, pixels: &RgbaImage) -> Result<&'a [f32]> {
    frame(pixels)
        .and_then(|frame| classifier.set_frame(&frame, &ImageOptions::default()))
        .with_context(|| format!("picture `{name}`"))?;
    Ok(classifier.run())
}

fn frame(pixels: &RgbaImage) -> mobilenet::Result<Frame<'_>> {
    Frame::new(pixels, pixels.width() as usize, pixels.height() as usize)
}

/// A picture as a square of `side` pixels, three bytes each, red first: what calibration takes.
pub fn square(picture: &Picture, side: usize, weights: &Weights) -> Result<Vec<u8>> {
    let pixels = picture.decode()?;
    let mut square = vec![0; side * side * 3];
    let normalization = &weights.architecture.normalization;
    frame(&pixels)
        .and_then(|frame| {
            let target = Input::U8(&mut square);
            Resizer::new().resize(&frame, &ImageOptions::default(), side, normalization, target)
        })
        .with_context(|| format!("picture `{}`", picture.name))?;
    Ok(square)
}

/// As many threads as there are.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// Spreads `items` over `workers` and gives the results in the items' order.
pub fn spread<W: Send, T: Sync, R: Send>(
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
