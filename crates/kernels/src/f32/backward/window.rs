//! The full 3×3 convolution of a batch (the stem; the blocks of the Conv MobileNet): windows are unrolled into rows of
//! `9·K` values, and the rest is the three products of `pointwise`.

use super::{Here, Previous, Scratch, at_least, back, pad, padded};
use crate::f32::batch_norm::{Affine, Moments};
use crate::f32::matmul::{Packed, accumulate_transposed, block_rows, multiply, stride};
use crate::shape::ConvShape;

/// `output = read(input) * kernel` (kernel HWIO, packed as `9K × N`); `moments` (already reset) gathers the output.
pub fn forward(
    shape: ConvShape,
    input: &[f32],
    read: &Affine,
    kernel: &Packed,
    output: &mut [f32],
    moments: &mut Moments,
    scratch: &mut Scratch,
) {
    let (height, width) = padded(shape);
    let (inputs, outputs) = (9 * shape.input.channels, shape.output.channels);
    let (rows, step) = (block_rows(inputs, outputs), stride(inputs));
    let map = at_least(&mut scratch.input, height * width * shape.input.channels);
    let columns = at_least(&mut scratch.columns, rows * step);
    let pictures = input.chunks_exact(shape.input.len()).zip(output.chunks_exact_mut(shape.output.len()));
    for (input, output) in pictures {
        pad(shape, input, read, map);
        for (block, output) in output.chunks_mut(rows * outputs).enumerate() {
            let count = output.len() / outputs;
            unroll(shape, map, block * rows, count, step, columns);
            multiply(count, columns, step, kernel, output, outputs);
            moments.add(output);
        }
    }
}

/// Adds the kernel's gradient to `d_kernel` (`9K × N`); `input` is the whole batch as the layer before gave it. Where
/// there is a layer before, passes the gradient on to it; `transposed` holds the kernel's transpose, `N × 9K`.
pub fn backward(
    shape: ConvShape,
    here: &Here,
    input: (&[f32], &Affine),
    mut previous: Option<(&mut Previous, &Packed)>,
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
    let pictures = here.d_z.chunks_exact(size).zip(here.y.chunks_exact(size));
    for (picture, (d_z, y)) in pictures.enumerate() {
        pad(shape, &input.0[picture * shape.input.len()..][..shape.input.len()], input.1, map);
        if previous.is_some() {
            d_map.fill(0.0);
        }
        let blocks = d_z.chunks(rows * outputs).zip(y.chunks(rows * outputs));
        for (block, (d_z, y)) in blocks.enumerate() {
            let (first, count) = (block * rows, y.len() / outputs);
            unroll(shape, map, first, count, a_step, columns);
            here.norm.apply(d_z, y, d_y, y_step);
            accumulate_transposed(count, columns, a_step, inputs, d_y, y_step, outputs, d_kernel);
            if let Some((_, transposed)) = &previous {
                multiply(count, d_y, y_step, transposed, d_columns, a_step);
                roll(shape, d_columns, first, count, a_step, d_map);
            }
        }
        if let Some((previous, _)) = &mut previous {
            back(shape, d_map, picture, previous);
        }
    }
}

/// Where the three rows of the window of output pixel `pixel` begin in the padded map.
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
