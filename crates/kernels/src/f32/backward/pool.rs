//! Global average pooling of training, forward and backward.

use super::LayerInput;
use crate::f32::batch_norm::Affine;

/// Computes `output[sample][channel]`, the mean over the pixels of `read(input)`. `scratch` is resized to one pixel.
pub fn forward(pixels: usize, input: &[f32], read: &Affine, output: &mut [f32], scratch: &mut Vec<f32>) {
    let channels = read.scale.len();
    scratch.resize(channels, 0.0);
    let part = 1.0 / pixels as f32;
    let samples = input.chunks_exact(pixels * channels).zip(output.chunks_exact_mut(channels));
    for (sample, output) in samples {
        output.fill(0.0);
        for pixel in sample.chunks_exact(channels) {
            read.apply(pixel, scratch, channels);
            output.iter_mut().zip(&*scratch).for_each(|(sum, value)| *sum += value);
        }
        output.iter_mut().for_each(|sum| *sum *= part);
    }
}

/// Writes the gradient of `input`: the same share of `d_output` for every pixel. Scales `d_output` in place.
pub fn backward(pixels: usize, d_output: &mut [f32], input: &mut LayerInput) {
    let channels = input.read.scale.len();
    let part = 1.0 / pixels as f32;
    d_output.iter_mut().for_each(|value| *value *= part);
    let maps = input.y.chunks_exact(pixels * channels).zip(input.d_z.chunks_exact_mut(pixels * channels));
    for (d_output, (y, d_z)) in d_output.chunks_exact(channels).zip(maps) {
        input.sums.propagate(input.read, y, d_output, 0, d_z);
    }
}
