//! The standard 3×3 convolution: the first layer (stem) of a network, and the layers of a network without depthwise
//! separable convolutions.
//!
//! ```text
//! for y, x, output:
//!     sum = bias[output]
//!     for ky, kx, input: sum += map[y·stride + ky − pad][x·stride + kx − pad][input] · kernel[ky][kx][input][output]
//! ```
//!
//! The nine pixels of a window are gathered into a row of `9 · inputs` values: three copies, because a map's row is
//! contiguous, with zeros for padding. The rest is a [`pointwise`] convolution over the windows of one output row,
//! which stay in the first-level cache.

use super::pointwise::{self, PackedPointwise};
use crate::shape::{Activation, ConvShape};
use crate::simd::F32x4;
use std::ops::Range;

/// Packs `kernel` (`[3, 3, inputs, outputs]`) and `bias` (`[outputs]`).
pub fn pack(kernel: Vec<f32>, bias: &[f32]) -> PackedPointwise {
    pointwise::pack(kernel, bias)
}

/// Returns the length of `scratch` that [`forward`] needs: the windows of one output row.
pub fn scratch_len(shape: &ConvShape) -> usize {
    shape.output.width * 9 * shape.input.channels
}

/// Computes the output rows `rows` from the whole map `input`.
///
/// `input` is dense, `height × width × inputs`; values beyond the map are ignored. `output` holds the rows `rows` only:
/// `rows.len() · width · outputs` values, dense, clamped by `activation`. `scratch` has [`scratch_len`] values or more,
/// whose content does not matter.
///
/// # Panics
///
/// If `scratch` is too short, or `output` or `packed` do not match `shape`.
///
/// # Examples
///
/// ```
/// use mobilenet_kernels::f32::window;
/// use mobilenet_kernels::shape::{Activation, ConvShape, FeatureMap, Padding};
///
/// let shape = ConvShape::window(FeatureMap::new(4, 4, 3), 8, 2, Padding::Same);
/// let packed = window::pack(vec![0.1; 3 * 3 * 3 * 8], &[0.0; 8]);
/// let mut scratch = vec![0.0; window::scratch_len(&shape)];
/// let mut output = vec![0.0; shape.output.len()]; // 2 × 2 × 8
/// window::forward(&shape, &packed, Activation::Relu6, 0..2, &[1.0; 4 * 4 * 3], &mut scratch, &mut output);
/// assert!((output[0] - 2.7).abs() < 1e-5); // top left: all 27 inputs are inside
/// assert!((output[24] - 1.2).abs() < 1e-5); // bottom right: 12 inputs are inside
/// ```
pub fn forward(
    shape: &ConvShape,
    packed: &PackedPointwise,
    activation: Activation,
    rows: Range<usize>,
    input: &[f32],
    scratch: &mut [f32],
    output: &mut [f32],
) {
    let row_len = shape.output.width * shape.output.channels;
    let scratch = &mut scratch[..scratch_len(shape)];
    for (y, output) in rows.zip(output.chunks_exact_mut(row_len)) {
        gather(shape, y, input, scratch);
        pointwise::forward(packed, activation, scratch, output);
    }
}

/// Gathers the windows of output row `y` one after the other, each in the kernel's order.
fn gather(shape: &ConvShape, y: usize, input: &[f32], scratch: &mut [f32]) {
    let channels = shape.input.channels;
    let line = 3 * channels;
    let row_len = shape.input.width * channels;
    // Windows first..end lie inside of both borders.
    let first = shape.pad_left.div_ceil(shape.stride).min(shape.output.width);
    let fit = (shape.input.width + shape.pad_left).checked_sub(3).map_or(0, |last| last / shape.stride + 1);
    let end = fit.clamp(first, shape.output.width);
    let rows = [0, 1, 2].map(|ky| {
        let row =
            (y * shape.stride + ky).checked_sub(shape.pad_top).filter(|&row| row < shape.input.height)?;
        input.get(row * row_len..(row + 1) * row_len)
    });
    if rows.contains(&None) {
        scratch.fill(0.0);
    }
    let rows = rows.map(Option::unwrap_or_default);
    let mut from = (first * shape.stride).saturating_sub(shape.pad_left) * channels;
    for window in scratch[3 * first * line..3 * end * line].chunks_exact_mut(3 * line) {
        for (row, target) in rows.iter().zip(window.chunks_exact_mut(line)) {
            if let Some(source) = row.get(from..from + line) {
                copy(source, target);
            }
        }
        from += shape.stride * channels;
    }
    for x in (0..first).chain(end..shape.output.width) {
        let window = &mut scratch[3 * x * line..][..3 * line];
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

/// Copies without a call of memcpy for the nine values of a row of an RGB window.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    let line = from.len();
    match (from.first_chunk::<9>(), to.first_chunk_mut::<9>()) {
        // Explicit vectors: LLVM would merge both arms into one call of memcpy.
        (Some(from), Some(to)) if line == 9 => {
            for at in [0, 4, 5] {
                F32x4::load(&from[at..]).store(&mut to[at..]);
            }
        }
        _ => to.copy_from_slice(from),
    }
}
