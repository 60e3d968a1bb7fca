//! The convolutions of training: a batch at a time, forward with batch statistics, and backward.
//!
//! Every map and gradient is a dense `samples × height × width × channels`, every kernel is in HWIO order. A layer's
//! input is the unnormalized output `y` of the layer before; batch norm and activation are applied while it is read
//! ([`batch_norm`](super::batch_norm)). `forward` writes the next `y` and its moments. `backward` adds the gradient of
//! the kernel, writes the gradient behind the activation of the layer before, and accumulates the sums that its batch
//! norm needs.
//!
//! # Examples
//!
//! A depthwise convolution with batch norm, forward and backward, over two samples:
//!
//! ```
//! use mobilenet_kernels::f32::backward::{LayerInput, LayerOutput, Scratch, depthwise};
//! use mobilenet_kernels::f32::batch_norm::{self, Affine, Backward, GradientSums, Moments, Statistics};
//! use mobilenet_kernels::shape::{ConvShape, FeatureMap, Padding};
//!
//! let shape = ConvShape::window(FeatureMap::new(4, 4, 8), 8, 1, Padding::Same);
//! let (kernel, gamma, beta, epsilon) = ([0.5; 9 * 8], [1.0; 8], [0.0; 8], 1e-3);
//! let x: Vec<f32> = (0..2 * shape.input.len()).map(|index| (index % 7) as f32).collect();
//! let (mut moments, mut scratch) = (Moments::default(), Scratch::default());
//!
//! // Forward: the convolution, then the statistics of its output, which batch norm needs.
//! let read = Affine::identity(8); // the input is not normalized
//! let mut y = vec![0.0; 2 * shape.output.len()];
//! moments.reset(8);
//! depthwise::forward(shape, &x, &read, &kernel, &mut y, &mut moments, &mut scratch);
//! let mut statistics = Statistics { mean: vec![0.0; 8], variance: vec![0.0; 8], count: 0.0 };
//! statistics.take(&moments);
//! let mut affine = Affine::identity(8); // what the next layer would apply to `y`
//! batch_norm::forward(&statistics.mean, &statistics.variance, &gamma, &beta, epsilon, &mut affine);
//!
//! // Backward: through the activation and batch norm, from a gradient of 1 for every normalized value.
//! let (mut d_z, mut sums) = (vec![0.0; y.len()], GradientSums::default());
//! sums.reset(8);
//! sums.propagate(&affine, &y, &vec![1.0; y.len()], 8, &mut d_z);
//! let (mut norm, mut d_gamma, mut d_beta) = (Backward::default(), [0.0; 8], [0.0; 8]);
//! norm.prepare(&sums, &statistics, &gamma, epsilon, &mut d_gamma, &mut d_beta);
//! assert_eq!(d_beta, [32.0; 8]); // two samples of 16 pixels
//!
//! // Backward: through the convolution.
//! let (mut d_x, mut d_kernel, mut next_sums) = (vec![0.0; x.len()], [0.0; 9 * 8], GradientSums::default());
//! next_sums.reset(8);
//! let output = LayerOutput { y: &y, d_z: &d_z, norm: &norm };
//! let mut input = LayerInput { y: &x, read: &read, d_z: &mut d_x, sums: &mut next_sums };
//! depthwise::backward(shape, &output, &mut input, &kernel, &mut d_kernel, &mut scratch);
//! // Batch norm subtracts the mean, so the gradient of a constant vanishes.
//! assert!(d_x.iter().chain(&d_kernel).all(|gradient| gradient.abs() < 1e-4));
//! ```

pub mod depthwise;
pub mod pointwise;
pub mod pool;
pub mod window;

use super::batch_norm::{Affine, Backward, GradientSums};
use crate::aligned::Aligned;
use crate::shape::ConvShape;

/// A layer's input side: the layer before.
pub struct LayerInput<'a> {
    /// The stored output of the layer before.
    pub y: &'a [f32],
    /// Its batch norm and activation, applied while `y` is read.
    pub read: &'a Affine,
    /// Receives the gradient behind its activation.
    pub d_z: &'a mut [f32],
    /// Receives the sums for its batch norm; reset by the caller.
    pub sums: &'a mut GradientSums,
}

/// A layer's output side.
pub struct LayerOutput<'a> {
    /// The stored output of the convolution.
    pub y: &'a [f32],
    /// The gradient behind its activation.
    pub d_z: &'a [f32],
    /// Computes the gradient of `y` from these.
    pub norm: &'a Backward,
}

/// Cache-sized buffers, which grow once and are shared by all layers.
#[derive(Debug, Default)]
pub struct Scratch {
    /// A block or a padded map of the input.
    pub input: Aligned<f32>,
    /// A block or a map of the gradient of the output.
    pub d_output: Aligned<f32>,
    /// A block or a padded map of the gradient of the input.
    pub d_input: Aligned<f32>,
    /// Unrolled windows.
    pub columns: Aligned<f32>,
    /// The gradient of unrolled windows.
    pub d_columns: Aligned<f32>,
}

/// Returns the first `length` values of `buffer`, unspecified, growing it if necessary.
pub(super) fn at_least(buffer: &mut Aligned<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length {
        *buffer = Aligned::zeros(length);
    }
    &mut buffer[..length]
}

/// Returns height and width of the padded input: exactly what the windows cover.
pub(super) const fn padded(shape: ConvShape) -> (usize, usize) {
    ((shape.output.height - 1) * shape.stride + 3, (shape.output.width - 1) * shape.stride + 3)
}

/// Returns the rows (or columns) of the input that the windows cover: all but a remainder at stride 2.
const fn covered(size: usize, before: usize, padded: usize) -> usize {
    if padded - before < size { padded - before } else { size }
}

/// Applies `read` to one sample's map and pads it with zeros.
pub(super) fn pad(shape: ConvShape, input: &[f32], read: &Affine, output: &mut [f32]) {
    let (height, width) = padded(shape);
    let (line, channels) = (shape.input.width * shape.input.channels, shape.input.channels);
    let rows = covered(shape.input.height, shape.pad_top, height);
    let values = covered(shape.input.width, shape.pad_left, width) * channels;
    for (row, output) in output.chunks_exact_mut(width * channels).take(height).enumerate() {
        if row < shape.pad_top || row >= shape.pad_top + rows {
            output.fill(0.0);
            continue;
        }
        let left = shape.pad_left * channels;
        output[..left].fill(0.0);
        output[left + values..].fill(0.0);
        let input = &input[(row - shape.pad_top) * line..][..values];
        read.apply(input, &mut output[left..left + values], channels);
    }
}

/// Propagates the gradient of a padded map back through the activation of one sample of the layer before.
pub(super) fn unpad(shape: ConvShape, d_padded: &[f32], sample: usize, input: &mut LayerInput) {
    let (height, width) = padded(shape);
    let (line, channels) = (shape.input.width * shape.input.channels, shape.input.channels);
    let rows = covered(shape.input.height, shape.pad_top, height);
    let values = covered(shape.input.width, shape.pad_left, width) * channels;
    let first = sample * shape.input.len();
    for row in 0..shape.input.height {
        let start = first + row * line;
        let (d_z, beyond) = input.d_z[start..][..line].split_at_mut(if row < rows { values } else { 0 });
        beyond.fill(0.0);
        let at = ((row + shape.pad_top) * width + shape.pad_left) * channels;
        let y = &input.y[start..][..d_z.len()];
        if let Some(d_read) = d_padded.get(at..) {
            input.sums.propagate(input.read, y, d_read, channels, d_z);
        }
    }
}

#[cfg(test)]
mod tests;
