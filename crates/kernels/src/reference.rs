//! The float32 kernels as naive loops: the definition of a correct result.
//!
//! The functions take kernels in HWIO order, before packing. The fast kernels sum in the same order as these, so their
//! results are bit-identical unless multiply-adds are fused ([`FUSED`](crate::simd::FUSED)): the bias first, then the
//! window row by row, each row column by column, each pixel channel by channel; in a depthwise window column by column,
//! each from top to bottom, because the fast kernel slides along a row.
//!
//! [`int8::reference`](crate::int8::reference) has the int8 kernels.

use crate::shape::{Activation, ConvShape, FeatureMap};

/// Returns the input pixel under tap (`ky`, `kx`) of the window of output (`y`, `x`), or `None` in the padding.
pub(crate) fn input_pixel(
    shape: &ConvShape,
    (y, x): (usize, usize),
    (ky, kx): (usize, usize),
) -> Option<usize> {
    let row = (y * shape.stride + ky).checked_sub(shape.pad_top)?;
    let column = (x * shape.stride + kx).checked_sub(shape.pad_left)?;
    let inside = row < shape.input.height && column < shape.input.width;
    inside.then_some(row * shape.input.width + column)
}

/// Calls `sum` with the position and channel of every output, and stores the result after the activation.
fn for_each_output(
    shape: &ConvShape,
    activation: Activation,
    output: &mut [f32],
    sum: impl Fn((usize, usize), usize) -> f32,
) {
    let (low, high) = activation.bounds();
    for y in 0..shape.output.height {
        for x in 0..shape.output.width {
            for channel in 0..shape.output.channels {
                let index = (y * shape.output.width + x) * shape.output.channels + channel;
                output[index] = sum((y, x), channel).max(low).min(high);
            }
        }
    }
}

/// Computes a standard convolution, 3×3 or 1×1: `kernel` is `[k, k, inputs, outputs]`, `bias` is `[outputs]`.
pub fn convolution(
    shape: &ConvShape,
    activation: Activation,
    input: &[f32],
    kernel: &[f32],
    bias: &[f32],
    output: &mut [f32],
) {
    let (inputs, outputs) = (shape.input.channels, shape.output.channels);
    for_each_output(shape, activation, output, |position, channel| {
        let mut sum = bias[channel];
        for tap in 0..shape.kernel * shape.kernel {
            let offset = (tap / shape.kernel, tap % shape.kernel);
            let Some(pixel) = input_pixel(shape, position, offset) else { continue };
            for inner in 0..inputs {
                sum += input[pixel * inputs + inner] * kernel[(tap * inputs + inner) * outputs + channel];
            }
        }
        sum
    });
}

/// Computes a 3×3 depthwise convolution: `kernel` is `[3, 3, channels]`, `bias` is `[channels]`.
pub fn depthwise(
    shape: &ConvShape,
    activation: Activation,
    input: &[f32],
    kernel: &[f32],
    bias: &[f32],
    output: &mut [f32],
) {
    let channels = shape.output.channels;
    for_each_output(shape, activation, output, |position, channel| {
        let mut sum = bias[channel];
        for (kx, ky) in (0..9).map(|tap| (tap / 3, tap % 3)) {
            let Some(pixel) = input_pixel(shape, position, (ky, kx)) else { continue };
            sum += input[pixel * channels + channel] * kernel[(ky * 3 + kx) * channels + channel];
        }
        sum
    });
}

/// Computes the mean of each channel over all pixels of `map`: the sum in order, times `1 / pixels`.
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

/// Computes `exp(x − max) / Σ exp(x − max)`, summed in `f64`.
pub fn softmax(logits: &[f32], probabilities: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponential = |logit: f32| f64::from(logit - largest).exp();
    let sum: f64 = logits.iter().map(|&logit| exponential(logit)).sum();
    for (probability, &logit) in probabilities.iter_mut().zip(logits) {
        *probability = (exponential(logit) / sum) as f32;
    }
}
