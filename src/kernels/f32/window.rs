//! The full 3×3 convolution: the stem, and the blocks of the Conv MobileNet (Table 4).
//!
//! ```text
//! for y, x, output:
//!     sum = bias[output]
//!     for ky, kx, input: sum += map[y·stride + ky − pad][x·stride + kx − pad][input] · kernel[ky][kx][input][output]
//! ```
//!
//! Goes in: a dense map. Comes out: rows of the next. The nine pixels under a window are gathered into one row of
//! `9 · inputs` values (three copies, for a map's row is contiguous), zeros where the window hangs over the border,
//! and the rest is a [`pointwise`] over one row of such windows, which stays in the first cache.
//! Next: the first depthwise convolution.

use super::pointwise::{self, Packed};
use crate::shape::{Activation, ConvShape};
use std::ops::Range;

/// Packs `kernel` (`[3, 3, inputs, outputs]`) and `bias` (`[outputs]`).
pub fn pack(kernel: Vec<f32>, bias: &[f32]) -> Packed {
    pointwise::pack(kernel, bias)
}

/// Values that [`forward`] needs as `gathered`: the windows of one row.
pub fn gathered_len(shape: &ConvShape) -> usize {
    shape.output.width * 9 * shape.input.channels
}

/// Output rows `rows` of the convolution of the whole map `input`, into `output`, whose first value is the first of
/// those rows. What `gathered` holds does not matter.
pub fn forward(
    shape: &ConvShape,
    packed: &Packed,
    activation: Activation,
    rows: Range<usize>,
    input: &[f32],
    gathered: &mut [f32],
    output: &mut [f32],
) {
    let row_len = shape.output.width * shape.output.channels;
    let gathered = &mut gathered[..gathered_len(shape)];
    for (y, output) in rows.zip(output.chunks_exact_mut(row_len)) {
        gather(shape, y, input, gathered);
        pointwise::forward(packed, activation, gathered, output);
    }
}

/// The windows of output row `y`, one after the other, each in the kernel's order.
fn gather(shape: &ConvShape, y: usize, input: &[f32], gathered: &mut [f32]) {
    let channels = shape.input.channels;
    let line = 3 * channels;
    let row_len = shape.input.width * channels;
    for ky in 0..3 {
        let row = (y * shape.stride + ky).checked_sub(shape.pad_top).filter(|&row| row < shape.input.height);
        for (x, window) in gathered.chunks_exact_mut(3 * line).enumerate() {
            let target = &mut window[ky * line..][..line];
            let Some(row) = row else {
                target.fill(0.0);
                continue;
            };
            let row = &input[row * row_len..][..row_len];
            let first = x * shape.stride;
            if first >= shape.pad_left && first - shape.pad_left + 3 <= shape.input.width {
                copy(&row[(first - shape.pad_left) * channels..][..line], target);
            } else {
                for (kx, target) in target.chunks_exact_mut(channels).enumerate() {
                    match (first + kx).checked_sub(shape.pad_left).filter(|&x| x < shape.input.width) {
                        Some(x) => target.copy_from_slice(&row[x * channels..][..channels]),
                        None => target.fill(0.0),
                    }
                }
            }
        }
    }
}

/// A copy without a call where it is as short as the stem's.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    match (from.first_chunk::<9>(), to.first_chunk_mut::<9>()) {
        (Some(nine), Some(target)) if from.len() == 9 => *target = *nine,
        _ => to.copy_from_slice(from),
    }
}
