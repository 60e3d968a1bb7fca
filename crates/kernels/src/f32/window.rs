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
use crate::simd::F32x4;
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
    // Windows that hang over neither border.
    let first = shape.pad_left.div_ceil(shape.stride).min(shape.output.width);
    let fit = (shape.input.width + shape.pad_left).checked_sub(3).map_or(0, |last| last / shape.stride + 1);
    let end = fit.clamp(first, shape.output.width);
    let rows = [0, 1, 2].map(|ky| {
        let row =
            (y * shape.stride + ky).checked_sub(shape.pad_top).filter(|&row| row < shape.input.height)?;
        input.get(row * row_len..(row + 1) * row_len)
    });
    if rows.contains(&None) {
        gathered.fill(0.0);
    }
    let rows = rows.map(Option::unwrap_or_default);
    let mut from = (first * shape.stride).saturating_sub(shape.pad_left) * channels;
    for window in gathered[3 * first * line..3 * end * line].chunks_exact_mut(3 * line) {
        for (row, target) in rows.iter().zip(window.chunks_exact_mut(line)) {
            if let Some(source) = row.get(from..from + line) {
                copy(source, target);
            }
        }
        from += shape.stride * channels;
    }
    for x in (0..first).chain(end..shape.output.width) {
        let window = &mut gathered[3 * x * line..][..3 * line];
        for (tap, target) in window.chunks_exact_mut(channels).enumerate() {
            let column = (x * shape.stride + tap % 3).checked_sub(shape.pad_left);
            let pixel = column.filter(|&column| column < shape.input.width);
            match pixel.and_then(|pixel| rows[tap / 3].get(pixel * channels..(pixel + 1) * channels)) {
                Some(pixel) => target.copy_from_slice(pixel),
                None => target.fill(0.0),
            }
        }
    }
}

/// A copy without a call where it is as short as the stem's.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    let line = from.len();
    match (from.first_chunk::<9>(), to.first_chunk_mut::<9>()) {
        // As vectors, or the compiler would see one copy in both cases and call for both.
        (Some(from), Some(to)) if line == 9 => {
            for at in [0, 4, 5] {
                F32x4::load(&from[at..]).store(&mut to[at..]);
            }
        }
        _ => to.copy_from_slice(from),
    }
}
