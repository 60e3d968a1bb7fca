//! The int8 layers as naive loops: the definition of correct, to the bit.
//!
//! Goes in and comes out: dense maps of bytes, HWC without filling. Next: the tests hold the fast kernels, packing,
//! panels, tails and all, against these.

use super::{LEVELS, classifier, stem};
use crate::shape::ConvShape;

/// A sum of the products of 8-bit numbers as an activation: one product in floats, rounded to even.
pub fn requantize(sum: i32, scale: f32) -> u8 {
    (sum as f32 * scale).round_ties_even().clamp(0.0, LEVELS as f32) as u8
}

/// A 16-bit sum as an activation: one product with a fraction of 2¹⁵, rounded.
pub fn requantise_q15(sum: i16, factor: i16) -> u8 {
    ((i32::from(sum) * i32::from(factor) + (1 << 14)) >> 15).clamp(0, LEVELS) as u8
}

/// Positions of the input under a window's nine taps, row by row; `None` beyond the border.
fn window(shape: &ConvShape, y: usize, x: usize) -> [Option<usize>; 9] {
    std::array::from_fn(|tap| {
        let row = (y * shape.stride + tap / 3).checked_sub(shape.pad_top)?;
        let column = (x * shape.stride + tap % 3).checked_sub(shape.pad_left)?;
        let inside = row < shape.input.height && column < shape.input.width;
        inside.then_some(row * shape.input.width + column)
    })
}

/// `kernel` is `[inputs][outputs]`; a pixel after the other.
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

/// `kernel` is `[3][3][channels]`.
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
                map.push(requantise_q15(sum, factor[channel]));
            }
        }
    }
    map
}

/// `kernel` is `[3][3][3][outputs]`, red first; the picture is bytes, red first.
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
                        let centred = fine - i32::from(stem::fine_mean(mean[color]));
                        sum += centred * i32::from(kernel[(tap * 3 + color) * outputs + output]);
                    }
                }
                map.push(requantize(sum, scale[output]));
            }
        }
    }
    map
}

/// Averages in floats: exact sums times `scale`.
pub fn pool(channels: usize, input: &[u8], scale: f32) -> Vec<f32> {
    let sum = |channel: usize| input[channel..].iter().step_by(channels).map(|&value| i32::from(value)).sum();
    (0..channels)
        .map(|channel| {
            let sum: i32 = sum(channel);
            sum as f32 * scale
        })
        .collect()
}

/// `kernel` is `[inputs][outputs]`; logits in floats.
pub fn classifier(embedding: &[f32], kernel: &[i8], scale: &[f32], bias: &[f32]) -> Vec<f32> {
    let outputs = bias.len();
    let mut quantized = vec![0; super::stored(embedding.len())];
    let step = classifier::quantize(embedding, &mut quantized);
    let logit = |output: usize| {
        let weights = kernel[output..].iter().step_by(outputs);
        let products = quantized.iter().zip(weights).map(|(&a, &weight)| i32::from(a) * i32::from(weight));
        products.sum::<i32>() as f32 * (scale[output] * step) + bias[output]
    };
    (0..outputs).map(logit).collect()
}
