//! The 1×1 convolution of training: three matrix products.
//!
//! With `a` the input as read, `pixels × K`, and `w` the kernel, `K × N`: forward `y = a·w`, backward `d_w = aᵀ·d_y`
//! and `d_a = d_y·wᵀ`. All three work on the same blocks of rows, small enough to stay in the cache from one product to
//! the next.

use super::{LayerInput, LayerOutput, Scratch, at_least};
use crate::f32::batch_norm::{Affine, Moments};
use crate::f32::matmul::{PackedMatrix, accumulate_transposed, block_rows, multiply, stride};

/// Computes `output = read(input) · kernel` over all pixels of the batch.
///
/// The output is added to `moments`, which the caller resets.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    inputs: usize,
    outputs: usize,
    input: &[f32],
    read: &Affine,
    kernel: &PackedMatrix,
    output: &mut [f32],
    moments: &mut Moments,
    scratch: &mut Scratch,
) {
    let (rows, step) = (block_rows(inputs, outputs), stride(inputs));
    let block = at_least(&mut scratch.input, rows * step);
    for (input, output) in input.chunks(rows * inputs).zip(output.chunks_mut(rows * outputs)) {
        read.apply(input, block, step);
        multiply(input.len() / inputs, block, step, kernel, output, outputs);
        moments.add(output);
    }
}

/// Adds the gradient of the kernel to `d_kernel` (`inputs × outputs`) and writes the gradient of `input`.
///
/// `transposed` holds the kernel's transpose (`outputs × inputs`). See the [module](super)'s example.
pub fn backward(
    inputs: usize,
    outputs: usize,
    output: &LayerOutput,
    input: &mut LayerInput,
    transposed: &PackedMatrix,
    d_kernel: &mut [f32],
    scratch: &mut Scratch,
) {
    let rows = block_rows(inputs, outputs);
    let (a_step, y_step) = (stride(inputs), stride(outputs));
    let a = at_least(&mut scratch.input, rows * a_step);
    let d_a = at_least(&mut scratch.d_input, rows * a_step);
    let d_y = at_least(&mut scratch.d_output, rows * y_step);
    // Columns beyond a row are multiplied too, but not stored: they must be finite.
    d_y.fill(0.0);
    let blocks = input.y.chunks(rows * inputs).zip(input.d_z.chunks_mut(rows * inputs));
    let gradients = output.y.chunks(rows * outputs).zip(output.d_z.chunks(rows * outputs));
    for ((y_before, d_z_before), (y, d_z)) in blocks.zip(gradients) {
        let rows = y.len() / outputs;
        input.read.apply(y_before, a, a_step);
        output.norm.apply(d_z, y, d_y, y_step);
        accumulate_transposed(rows, a, a_step, inputs, d_y, y_step, outputs, d_kernel);
        multiply(rows, d_y, y_step, transposed, d_a, a_step);
        input.sums.propagate(input.read, y_before, d_a, a_step, d_z_before);
    }
}
