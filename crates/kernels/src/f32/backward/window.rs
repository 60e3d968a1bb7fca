//! The standard 3×3 convolution of training: windows are unrolled into rows of `9·K` values, and the rest is the three
//! matrix products of [`pointwise`](super::pointwise).

use super::{LayerInput, LayerOutput, Scratch, at_least, pad, padded, unpad};
use crate::f32::batch_norm::{Affine, Moments};
use crate::f32::matmul::{PackedMatrix, accumulate_transposed, block_rows, multiply, stride};
use crate::shape::ConvShape;

/// Computes `output = read(input) * kernel` for a batch.
///
/// `kernel` is packed as a `9·inputs × outputs` matrix. The output is added to `moments`, which the caller resets.
pub fn forward(
    shape: ConvShape,
    input: &[f32],
    read: &Affine,
    kernel: &PackedMatrix,
    output: &mut [f32],
    moments: &mut Moments,
    scratch: &mut Scratch,
) {
    let (height, width) = padded(shape);
    let (inputs, outputs) = (9 * shape.input.channels, shape.output.channels);
    let (rows, step) = (block_rows(inputs, outputs), stride(inputs));
    let map = at_least(&mut scratch.input, height * width * shape.input.channels);
    let columns = at_least(&mut scratch.columns, rows * step);
    let samples = input.chunks_exact(shape.input.len()).zip(output.chunks_exact_mut(shape.output.len()));
    for (input, output) in samples {
        pad(shape, input, read, map);
        for (block, output) in output.chunks_mut(rows * outputs).enumerate() {
            let count = output.len() / outputs;
            unroll(shape, map, block * rows, count, step, columns);
            multiply(count, columns, step, kernel, output, outputs);
            moments.add(output);
        }
    }
}

/// Adds the gradient of the kernel to `d_kernel` (`9·inputs × outputs`).
///
/// `input` is the stored output of the layer before and its batch norm and activation. If there is a `previous` layer
/// whose gradient is needed, it is written there; the second value of the pair is the kernel's transpose, `outputs ×
/// 9·inputs`. See the [module](super)'s example.
pub fn backward(
    shape: ConvShape,
    output: &LayerOutput,
    input: (&[f32], &Affine),
    mut previous: Option<(&mut LayerInput, &PackedMatrix)>,
    d_kernel: &mut [f32],
    scratch: &mut Scratch,
) {
    let (height, width) = padded(shape);
    let (inputs, outputs) = (9 * shape.input.channels, shape.output.channels);
    let (a_step, y_step) = (stride(inputs), stride(outputs));
    let rows = block_rows(inputs, outputs);
    let map = at_least(&mut scratch.input, height * width * shape.input.channels);
    let d_map = at_least(&mut scratch.d_input, height * width * shape.input.channels);
    let columns = at_least(&mut scratch.columns, rows * a_step);
    let d_columns = at_least(&mut scratch.d_columns, rows * a_step);
    let d_y = at_least(&mut scratch.d_output, rows * y_step);
    d_y.fill(0.0);
    let size = shape.output.len();
    let samples = output.d_z.chunks_exact(size).zip(output.y.chunks_exact(size));
    for (sample, (d_z, y)) in samples.enumerate() {
        pad(shape, &input.0[sample * shape.input.len()..][..shape.input.len()], input.1, map);
        if previous.is_some() {
            d_map.fill(0.0);
        }
        let blocks = d_z.chunks(rows * outputs).zip(y.chunks(rows * outputs));
        for (block, (d_z, y)) in blocks.enumerate() {
            let (first, count) = (block * rows, y.len() / outputs);
            unroll(shape, map, first, count, a_step, columns);
            output.norm.apply(d_z, y, d_y, y_step);
            accumulate_transposed(count, columns, a_step, inputs, d_y, y_step, outputs, d_kernel);
            if let Some((_, transposed)) = &previous {
                multiply(count, d_y, y_step, transposed, d_columns, a_step);
                roll(shape, d_columns, first, count, a_step, d_map);
            }
        }
        if let Some((previous, _)) = &mut previous {
            unpad(shape, d_map, sample, previous);
        }
    }
}

/// Returns the offsets of the three rows of the window of output `pixel` in the padded map.
fn window(shape: ConvShape, pixel: usize) -> [usize; 3] {
    let (_, width) = padded(shape);
    let (row, column) = (pixel / shape.output.width, pixel % shape.output.width);
    std::array::from_fn(|tap| {
        ((row * shape.stride + tap) * width + column * shape.stride) * shape.input.channels
    })
}

fn unroll(shape: ConvShape, map: &[f32], first: usize, count: usize, step: usize, columns: &mut [f32]) {
    let line = 3 * shape.input.channels;
    for (pixel, output) in columns.chunks_exact_mut(step).take(count).enumerate() {
        for (output, start) in output.chunks_exact_mut(line).zip(window(shape, first + pixel)) {
            output.copy_from_slice(&map[start..][..line]);
        }
    }
}

fn roll(shape: ConvShape, d_columns: &[f32], first: usize, count: usize, step: usize, d_map: &mut [f32]) {
    let line = 3 * shape.input.channels;
    for (pixel, input) in d_columns.chunks_exact(step).take(count).enumerate() {
        for (input, start) in input.chunks_exact(line).zip(window(shape, first + pixel)) {
            for (value, gradient) in d_map[start..][..line].iter_mut().zip(input) {
                *value += gradient;
            }
        }
    }
}
