//! The int8 kernels as naive loops: the definition of a correct result, bit for bit.
//!
//! The functions take kernels before packing, and dense maps of bytes, HWC without padded channels.

use super::{MAX_ACTIVATION, classifier, stem};
use crate::reference::input_pixel;
use crate::shape::ConvShape;

/// Requantizes a sum of products of 8-bit numbers: one product in floats, rounded to even, clamped to 0 to 127.
pub fn requantize(sum: i32, scale: f32) -> u8 {
    (sum as f32 * scale).round_ties_even().clamp(0.0, MAX_ACTIVATION as f32) as u8
}

/// Requantizes a 16-bit sum: `(sum · factor + 2¹⁴) >> 15`, clamped to 0 to 127.
pub fn requantize_q15(sum: i16, factor: i16) -> u8 {
    ((i32::from(sum) * i32::from(factor) + (1 << 14)) >> 15).clamp(0, MAX_ACTIVATION) as u8
}

/// Returns the input pixels under the nine taps of a window, row by row; `None` in the padding.
fn window(shape: &ConvShape, y: usize, x: usize) -> [Option<usize>; 9] {
    std::array::from_fn(|tap| input_pixel(shape, (y, x), (tap / 3, tap % 3)))
}

/// Computes a pointwise convolution pixel by pixel; `kernel` is `[inputs][outputs]`.
pub fn pointwise(input: &[u8], kernel: &[i8], bias: &[i32], scale: &[f32]) -> Vec<u8> {
    let outputs = bias.len();
    let mut map = Vec::new();
    for pixel in input.chunks_exact(kernel.len() / outputs) {
        for output in 0..outputs {
            let weights = kernel[output..].iter().step_by(outputs);
            let products = pixel.iter().zip(weights).map(|(&a, &weight)| i32::from(a) * i32::from(weight));
            map.push(requantize(bias[output] + products.sum::<i32>(), scale[output]));
        }
    }
    map
}

/// Computes a depthwise convolution; `kernel` is `[3][3][channels]`.
pub fn depthwise(shape: &ConvShape, input: &[u8], kernel: &[i8], bias: &[i16], factor: &[i16]) -> Vec<u8> {
    let channels = shape.input.channels;
    let mut map = Vec::new();
    for y in 0..shape.output.height {
        for x in 0..shape.output.width {
            for channel in 0..channels {
                let product = |(tap, position): (usize, Option<usize>)| {
                    let value = position.map_or(0, |position| input[position * channels + channel]);
                    i32::from(value) * i32::from(kernel[tap * channels + channel])
                };
                let products: i32 = window(shape, y, x).into_iter().enumerate().map(product).sum();
                let sum = i16::try_from(products + i32::from(bias[channel])).expect("a sum of 16 bits");
                map.push(requantize_q15(sum, factor[channel]));
            }
        }
    }
    map
}

/// Computes the first convolution over RGB bytes; `kernel` is `[3][3][3][outputs]`, red first.
pub fn stem(
    shape: &ConvShape,
    input: &[u8],
    kernel: &[i16],
    bias: &[i32],
    scale: &[f32],
    mean: [f32; 3],
) -> Vec<u8> {
    let outputs = bias.len();
    let mut map = Vec::new();
    for y in 0..shape.output.height {
        for x in 0..shape.output.width {
            for output in 0..outputs {
                let mut sum = bias[output];
                for (tap, position) in window(shape, y, x).into_iter().enumerate() {
                    let Some(position) = position else { continue };
                    for color in 0..3 {
                        let fine = i32::from(input[position * 3 + color]) * i32::from(stem::FINE);
                        let centered = fine - i32::from(stem::fine_mean(mean[color]));
                        sum += centered * i32::from(kernel[(tap * 3 + color) * outputs + output]);
                    }
                }
                map.push(requantize(sum, scale[output]));
            }
        }
    }
    map
}

/// Computes averages in floats: exact sums times `scale`.
pub fn pool(channels: usize, input: &[u8], scale: f32) -> Vec<f32> {
    let sum = |channel: usize| input[channel..].iter().step_by(channels).map(|&value| i32::from(value)).sum();
    (0..channels)
        .map(|channel| {
            let sum: i32 = sum(channel);
            sum as f32 * scale
        })
        .collect()
}

/// Computes logits in floats; `kernel` is `[inputs][outputs]`.
pub fn classifier(embedding: &[f32], kernel: &[i8], scale: &[f32], bias: &[f32]) -> Vec<f32> {
    let outputs = bias.len();
    let mut quantized = vec![0; super::padded_channels(embedding.len())];
    let step = classifier::quantize(embedding, &mut quantized);
    let logit = |output: usize| {
        let weights = kernel[output..].iter().step_by(outputs);
        let products = quantized.iter().zip(weights).map(|(&a, &weight)| i32::from(a) * i32::from(weight));
        products.sum::<i32>() as f32 * (scale[output] * step) + bias[output]
    };
    (0..outputs).map(logit).collect()
}
