//! The mean over all pixels, and its gradient: the same share for every pixel.

use super::Previous;
use crate::f32::batch_norm::Affine;

/// `output[picture][channel]` = mean of the map as read.
pub fn forward(pixels: usize, input: &[f32], read: &Affine, output: &mut [f32], line: &mut Vec<f32>) {
    let channels = read.scale.len();
    line.resize(channels, 0.0);
    let part = 1.0 / pixels as f32;
    let pictures = input.chunks_exact(pixels * channels).zip(output.chunks_exact_mut(channels));
    for (picture, output) in pictures {
        output.fill(0.0);
        for pixel in picture.chunks_exact(channels) {
            read.read(pixel, line, channels);
            output.iter_mut().zip(&*line).for_each(|(sum, value)| *sum += value);
        }
        output.iter_mut().for_each(|sum| *sum *= part);
    }
}

/// Spreads `d_output` over the pixels and passes it on. It is scaled in place.
pub fn backward(pixels: usize, d_output: &mut [f32], previous: &mut Previous) {
    let channels = previous.read.scale.len();
    let part = 1.0 / pixels as f32;
    d_output.iter_mut().for_each(|value| *value *= part);
    let maps =
        previous.y.chunks_exact(pixels * channels).zip(previous.d_z.chunks_exact_mut(pixels * channels));
    for (d_output, (y, d_z)) in d_output.chunks_exact(channels).zip(maps) {
        previous.sums.pass(previous.read, y, d_output, 0, d_z);
    }
}
