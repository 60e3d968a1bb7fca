//! The mean over all pixels, and its gradient: the same share for every pixel.

use super::Previous;
use crate::kernels::f32::batch_norm::Affine;

/// `output[picture][channel]` = mean of the map as read.
pub fn forward(pixels: usize, input: &[f32], read: &Affine, output: &mut [f32], line: &mut Vec<f32>) {
    let channels = read.scale.len();
    line.resize(channels, 0.0);
    let part = 1.0 / pixels as f32;
    let pictures = input.chunks_exact(pixels * channels).zip(output.chunks_exact_mut(channels));
    for (picture, output) in pictures {
        output.fill(0.0);
        for pixel in picture.chunks_exact(channels) {
            read.read_pixel(pixel, line);
            output.iter_mut().zip(&*line).for_each(|(sum, value)| *sum += value);
        }
        output.iter_mut().for_each(|sum| *sum *= part);
    }
}

/// Spreads `d_output` over the pixels and passes it on. It is scaled in place.
pub fn backward(pixels: usize, d_output: &mut [f32], previous: &mut Previous, line: &mut Vec<f32>) {
    let channels = previous.read.scale.len();
    line.resize(channels, 0.0);
    let part = 1.0 / pixels as f32;
    d_output.iter_mut().for_each(|value| *value *= part);
    for (picture, d_output) in d_output.chunks_exact(channels).enumerate() {
        for pixel in 0..pixels {
            let here = (picture * pixels + pixel) * channels;
            let y = &previous.y[here..][..channels];
            let d_z = &mut previous.d_z[here..][..channels];
            previous.read.read_pixel(y, line);
            previous.read.back_pixel(line, d_output, d_z);
            previous.sums.add_pixel(d_z, y);
        }
        previous.sums.flush();
    }
}
