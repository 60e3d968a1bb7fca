//! Every kernel as naive loops: the definition of correct.
//!
//! Goes in: the same shapes, maps and HWIO kernels that the fast code gets before packing. Comes out: what the fast
//! code must give, to the bit where multiply-adds are not fused, because both sum in this file's order: the bias
//! first, then row by row of the window, column by column, channel by channel; in a depthwise window column by column,
//! each from top to bottom, as one slides along a row. Next: the tests of `f32` and `int8`.

use crate::shape::{Activation, ConvShape, FeatureMap};

/// Input rows or columns that tap `tap` of output `position` meets; `None` on the border.
fn source(position: usize, stride: usize, tap: usize, pad: usize, size: usize) -> Option<usize> {
    (position * stride + tap).checked_sub(pad).filter(|&source| source < size)
}

fn clamp(value: f32, activation: Activation) -> f32 {
    let (low, high) = activation.bounds();
    value.max(low).min(high)
}

/// A full convolution, 3×3 (stem, standard) or 1×1: `kernel` is `[k, k, inputs, outputs]`, `bias` `[outputs]`.
pub fn convolution(
    shape: &ConvShape,
    activation: Activation,
    input: &[f32],
    kernel: &[f32],
    bias: &[f32],
    output: &mut [f32],
) {
    let (from, to) = (shape.input, shape.output);
    for y in 0..to.height {
        for x in 0..to.width {
            for channel in 0..to.channels {
                let mut sum = bias[channel];
                for ky in 0..shape.kernel {
                    for kx in 0..shape.kernel {
                        let row = source(y, shape.stride, ky, shape.pad_top, from.height);
                        let column = source(x, shape.stride, kx, shape.pad_left, from.width);
                        let (Some(row), Some(column)) = (row, column) else { continue };
                        let pixel = (row * from.width + column) * from.channels;
                        let tap = (ky * shape.kernel + kx) * from.channels;
                        for inner in 0..from.channels {
                            sum += input[pixel + inner] * kernel[(tap + inner) * to.channels + channel];
                        }
                    }
                }
                output[(y * to.width + x) * to.channels + channel] = clamp(sum, activation);
            }
        }
    }
}

/// One 3×3 filter a channel: `kernel` is `[3, 3, channels]`, `bias` `[channels]`.
pub fn depthwise(
    shape: &ConvShape,
    activation: Activation,
    input: &[f32],
    kernel: &[f32],
    bias: &[f32],
    output: &mut [f32],
) {
    let (from, to) = (shape.input, shape.output);
    for y in 0..to.height {
        for x in 0..to.width {
            for channel in 0..to.channels {
                let mut sum = bias[channel];
                for kx in 0..3 {
                    for ky in 0..3 {
                        let row = source(y, shape.stride, ky, shape.pad_top, from.height);
                        let column = source(x, shape.stride, kx, shape.pad_left, from.width);
                        let (Some(row), Some(column)) = (row, column) else { continue };
                        let at = (row * from.width + column) * from.channels + channel;
                        sum += input[at] * kernel[(ky * 3 + kx) * to.channels + channel];
                    }
                }
                output[(y * to.width + x) * to.channels + channel] = clamp(sum, activation);
            }
        }
    }
}

/// Mean over all pixels of `map`, channel by channel: the sum in order, times `1 / pixels`.
pub fn pool(map: FeatureMap, input: &[f32], output: &mut [f32]) {
    let share = 1.0 / map.pixels() as f32;
    for channel in 0..map.channels {
        let mut sum = 0.0;
        for pixel in 0..map.pixels() {
            sum += input[pixel * map.channels + channel];
        }
        output[channel] = sum * share;
    }
}

/// `exp(x − max) / Σ exp(x − max)`, summed in `f64`.
pub fn softmax(logits: &[f32], probabilities: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponential = |logit: f32| f64::from(logit - largest).exp();
    let sum: f64 = logits.iter().map(|&logit| exponential(logit)).sum();
    for (probability, &logit) in probabilities.iter_mut().zip(logits) {
        *probability = (exponential(logit) / sum) as f32;
    }
}
