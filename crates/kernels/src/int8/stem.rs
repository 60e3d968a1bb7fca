//! The first convolution in 8-bit integers: 3×3 over RGB bytes at stride 2, without losing any of their 8 bits.
//!
//! The input is pixels as a canvas gives them without alpha, red first; the output is a map. Normalization is `(byte −
//! mean) / deviation`, and padding is its zero: a byte equal to the mean, which may be fractional. So each byte becomes
//! the 16-bit number `64 · byte − round(64 · mean)`, padding becomes 0, and the deviation is folded into the weights.
//! As naive loops: [`reference::stem`](super::reference::stem).
//!
//! A tile is four pixels × eight outputs, and each step takes two of the window's numbers: three rows of nine, padded
//! to ten by a weight of zero.

use super::panel::{Sums, TILE_PIXELS_DEFAULT as PIXELS};
use super::{GROUP, padded_channels, pointwise};
use crate::shape::{ConvShape, FeatureMap};
use crate::simd::{F32x4, I16x8, I32x4, Rounding};
use std::ops::Range;

/// Steps of a centered color per byte.
pub const FINE: i16 = 64;

/// The largest sum of the magnitudes of one output's weights: sums fit 32 bits with a bias of up to 2³⁰.
pub const LARGEST_WEIGHTS: i32 = i32::MAX / 2 / (255 * FINE as i32);

/// Pairs of numbers in a row of the window.
const PAIRS: usize = 5;

/// Packed weights of eight outputs.
const BLOCK: usize = 3 * PAIRS * 2 * GROUP;

/// A kernel `[3][3][3][outputs]` with bias, scale and mean, packed for [`forward`].
#[derive(Clone, Debug, Default)]
pub struct PackedStem {
    mean: [i16; 3],
    weights: Vec<i16>,
    /// Of every eight outputs the even ones first; `scale` likewise.
    bias: Vec<i32>,
    scale: Vec<f32>,
}

impl PackedStem {
    /// Returns the size in bytes.
    pub fn bytes(&self) -> usize {
        self.weights.len() * 2 + (self.bias.len() + self.scale.len()) * 4
    }
}

/// Returns `64 · mean`, rounded: what is subtracted from a color.
pub fn fine_mean(mean: f32) -> i16 {
    (mean * f32::from(FINE)).round_ties_even() as i16
}

/// Packs `kernel` (`[3][3][3][outputs]`, red first), `bias` (in units of a sum, at most 2³⁰), `scale` (steps of the
/// output per unit of a sum) and the colors' `mean`, 0 to 255.
///
/// The magnitudes of an output's weights may sum to [`LARGEST_WEIGHTS`], and no sum may reach
/// [`SUM_LIMIT`](super::SUM_LIMIT) steps.
///
/// # Panics
///
/// If `kernel` or `scale` is too short for the outputs of `bias`.
#[inline]
pub fn pack(kernel: &[i16], bias: &[i32], scale: &[f32], mean: [f32; 3]) -> PackedStem {
    let outputs = bias.len();
    let at = |output: usize| {
        let (half, lane) = super::panel::lane(output % GROUP, true);
        (output / GROUP, half * 4 + lane)
    };
    let mut packed = PackedStem {
        mean: mean.map(fine_mean),
        weights: vec![0; padded_channels(outputs) / GROUP * BLOCK],
        bias: vec![0; padded_channels(outputs)],
        scale: vec![0.0; padded_channels(outputs)],
    };
    for output in 0..outputs {
        let (block, lane) = at(output);
        packed.bias[block * GROUP + lane] = bias[output];
        packed.scale[block * GROUP + lane] = scale[output];
        for tap in 0..27 {
            let (row, number) = (tap / 9, tap % 9);
            let pair = row * PAIRS + number / 2;
            packed.weights[block * BLOCK + (pair * GROUP + lane) * 2 + number % 2] =
                kernel[tap * outputs + output];
        }
    }
    packed
}

/// Returns the length of one row of `scratch`: a pixel of padding, the row, and as many zeros as the last four windows
/// may read.
fn row_len(shape: &ConvShape) -> usize {
    6 * shape.output.width.next_multiple_of(PIXELS) + 16
}

/// Returns the length of `scratch` that [`forward`] needs for `rows` output rows.
pub fn scratch_len(shape: &ConvShape, rows: usize) -> usize {
    (2 * rows + 1) * row_len(shape)
}

/// Computes the output rows `rows` from the whole image `input`.
///
/// `input` is dense, `height × width × 3` bytes. `output` receives `rows.len() · width` pixels of
/// [padded](super::padded_channels) channels, from 0 to 127. `scratch` has [`scratch_len`] values or more, whose
/// content does not matter.
///
/// # Panics
///
/// If `input`, `scratch` or `output` is too short.
///
/// # Examples
///
/// ```
/// use mobilenet_kernels::int8::stem;
/// use mobilenet_kernels::shape::{ConvShape, FeatureMap, Padding};
///
/// let shape = ConvShape::window(FeatureMap::new(4, 4, 3), 8, 2, Padding::Same);
/// let packed = stem::pack(&[10; 27 * 8], &[0; 8], &[1e-3; 8], [127.5; 3]);
/// let mut scratch = vec![0; stem::scratch_len(&shape, 2)];
/// let mut output = vec![0; 2 * 2 * 8];
/// stem::forward(&shape, &packed, 0..2, &[130; 4 * 4 * 3], &mut scratch, &mut output);
/// assert_eq!(output[0], 43); // top left: 27 inputs × (130 − 127.5) × 64 × 10 ÷ 1000
/// assert_eq!(output[24], 19); // bottom right: 12 inputs are inside
/// ```
pub fn forward(
    shape: &ConvShape,
    packed: &PackedStem,
    rows: Range<usize>,
    input: &[u8],
    scratch: &mut [i16],
    output: &mut [u8],
) {
    let FeatureMap { width, channels, .. } = shape.output;
    let outputs = padded_channels(channels);
    let row_len = row_len(shape);
    let scratch = &mut scratch[..scratch_len(shape, rows.len())];
    for (index, scratch) in scratch.chunks_exact_mut(row_len).enumerate() {
        let y = (2 * rows.start + index).checked_sub(shape.pad_top).filter(|&y| y < shape.input.height);
        let row = y.map(|y| &input[y * shape.input.width * 3..][..shape.input.width * 3]);
        normalize(row.unwrap_or_default(), packed.mean, scratch);
    }
    // A row of scratch has a pixel of padding on the left, whether the window starts there or not.
    let left = 3 * (1 - shape.pad_left);
    let output = &mut output[..rows.len() * width * outputs];
    let rounding = Rounding::new();
    for (index, output) in output.chunks_exact_mut(width * outputs).enumerate() {
        let window = [0, 1, 2].map(|i| &scratch[(2 * index + i) * row_len..][..row_len]);
        for (block, weights) in packed.weights.chunks_exact(BLOCK).enumerate() {
            let bias = [0, 4].map(|at| I32x4::load(&packed.bias[block * GROUP + at..]));
            let scale = [0, 4].map(|at| F32x4::load(&packed.scale[block * GROUP + at..]));
            for (four, output) in output.chunks_mut(PIXELS * outputs).enumerate() {
                let window = window.map(|row| &row[6 * PIXELS * four + left..]);
                let sums = tile(window, weights, [bias; PIXELS]);
                pointwise::store(sums, scale, rounding, outputs, &mut output[block * GROUP..]);
            }
        }
    }
}

/// Centers one row of pixels, or none, and pads it with zeros.
fn normalize(row: &[u8], mean: [i16; 3], scratch: &mut [i16]) {
    let (before, scratch) = scratch.split_at_mut(3);
    let (inside, after) = scratch.split_at_mut(row.len());
    before.fill(0);
    after.fill(0);
    // Eight pixels are three vectors, each with a constant order of colors.
    let means = [0, 1, 2].map(|vector| {
        let lanes: [i16; 8] = std::array::from_fn(|lane| mean[(8 * vector + lane) % 3]);
        I16x8::load(&lanes)
    });
    let (eights, rest) = row.as_chunks::<24>();
    let (wide, narrow) = inside.as_chunks_mut::<24>();
    for (bytes, numbers) in eights.iter().zip(wide) {
        for (vector, mean) in means.iter().enumerate() {
            let fine = I16x8::load_u8(&bytes[8 * vector..]).mul(I16x8::splat(FINE)).sub(*mean);
            fine.store(&mut numbers[8 * vector..]);
        }
    }
    for (index, (&byte, number)) in rest.iter().zip(narrow).enumerate() {
        *number = i16::from(byte) * FINE - mean[index % 3];
    }
}

/// Computes four windows, six numbers apart, for eight outputs.
#[inline(always)]
fn tile(window: [&[i16]; 3], weights: &[i16], mut sums: Sums<PIXELS>) -> Sums<PIXELS> {
    for (row, weights) in window.into_iter().zip(weights.as_chunks::<{ PAIRS * 2 * GROUP }>().0) {
        let row = &row[..6 * PIXELS + 4];
        for pair in 0..PAIRS {
            let a = I16x8::load(&weights[2 * GROUP * pair..]);
            let b = I16x8::load(&weights[2 * GROUP * pair + GROUP..]);
            for (pixel, [even, odd]) in sums.iter_mut().enumerate() {
                let two = I16x8::splat_two(&row[6 * pixel + 2 * pair..]);
                *even = even.dot_i16(a, two);
                *odd = odd.dot_i16(b, two);
            }
        }
    }
    sums
}
