//! The convolutions as training needs them: a batch at a time, forward in a form that remembers, and backward.
//!
//! Goes in: maps as the convolution before gave them (batch norm and ReLU are applied on the way in, see
//! `batch_norm`), unfolded kernels in HWIO order. Comes out, forward: the next map and its moments; backward: the
//! gradient of the kernel, and the gradient behind the previous layer's ReLU with the sums that its batch norm needs.
//! Every map and gradient is `pictures × height × width × channels`.

pub mod depthwise;
pub mod pointwise;
pub mod pool;
pub mod window;

use super::batch_norm::{Affine, Backward, GradientSums};
use crate::aligned::Aligned;
use crate::shape::ConvShape;

/// The layer before: what it gave, how it is read, and where its gradient goes.
pub struct Previous<'a> {
    /// The remembered output.
    pub y: &'a [f32],
    /// How it is read.
    pub read: &'a Affine,
    /// Becomes the gradient behind its ReLU.
    pub d_z: &'a mut [f32],
    /// Becomes the sums for its batch norm, already reset.
    pub sums: &'a mut GradientSums,
}

/// The layer itself: its remembered output and what has come back to it.
pub struct Here<'a> {
    /// The remembered output.
    pub y: &'a [f32],
    /// Gradient behind its ReLU.
    pub d_z: &'a [f32],
    /// From there to the gradient of `y`.
    pub norm: &'a Backward,
}

/// Buffers that fit in the cache; they grow once and are used by all layers in turn.
#[derive(Debug, Default)]
pub struct Scratch {
    /// A block or a padded map of the layer's input.
    pub input: Aligned<f32>,
    /// A block or a map of the gradient of its output.
    pub d_output: Aligned<f32>,
    /// A block or a padded map of the gradient of its input.
    pub d_input: Aligned<f32>,
    /// Unrolled windows.
    pub columns: Aligned<f32>,
    /// Gradients of unrolled windows.
    pub d_columns: Aligned<f32>,
}

/// The first `length` values of `buffer`, which grows if it must. What they are is left open.
pub(super) fn at_least(buffer: &mut Aligned<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length {
        *buffer = Aligned::zeros(length);
    }
    &mut buffer[..length]
}

/// Height and width of the input with its border of zeros: exactly what the windows touch.
pub(super) const fn padded(shape: ConvShape) -> (usize, usize) {
    ((shape.output.height - 1) * shape.stride + 3, (shape.output.width - 1) * shape.stride + 3)
}

/// Rows (or columns) of the input that the windows reach: all but what a stride leaves over.
const fn reached(size: usize, before: usize, padded: usize) -> usize {
    if padded - before < size { padded - before } else { size }
}

/// One picture's map, read through `read`, with zeros around it.
pub(super) fn pad(shape: ConvShape, input: &[f32], read: &Affine, output: &mut [f32]) {
    let (height, width) = padded(shape);
    let (line, channels) = (shape.input.width * shape.input.channels, shape.input.channels);
    let rows = reached(shape.input.height, shape.pad_top, height);
    let values = reached(shape.input.width, shape.pad_left, width) * channels;
    for (row, output) in output.chunks_exact_mut(width * channels).take(height).enumerate() {
        if row < shape.pad_top || row >= shape.pad_top + rows {
            output.fill(0.0);
            continue;
        }
        let left = shape.pad_left * channels;
        output[..left].fill(0.0);
        output[left + values..].fill(0.0);
        let input = &input[(row - shape.pad_top) * line..][..values];
        read.read(input, &mut output[left..left + values], channels);
    }
}

/// The gradient of a padded map goes back through the clamp into one picture of the previous layer.
pub(super) fn back(shape: ConvShape, d_padded: &[f32], picture: usize, previous: &mut Previous) {
    let (height, width) = padded(shape);
    let (line, channels) = (shape.input.width * shape.input.channels, shape.input.channels);
    let rows = reached(shape.input.height, shape.pad_top, height);
    let values = reached(shape.input.width, shape.pad_left, width) * channels;
    let first = picture * shape.input.len();
    for row in 0..shape.input.height {
        let here = first + row * line;
        let (d_z, beyond) = previous.d_z[here..][..line].split_at_mut(if row < rows { values } else { 0 });
        beyond.fill(0.0);
        let at = ((row + shape.pad_top) * width + shape.pad_left) * channels;
        let y = &previous.y[here..][..d_z.len()];
        if let Some(d_read) = d_padded.get(at..) {
            previous.sums.pass(previous.read, y, d_read, channels, d_z);
        }
    }
}

#[cfg(test)]
mod tests;
