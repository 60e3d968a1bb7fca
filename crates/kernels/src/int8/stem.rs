//! The first convolution: 3×3 over bytes of color at stride 2, none of their eight bits lost.
//!
//! Goes in: pixels as they come from a canvas, red first. Comes out: a map. Normalization is `(byte − mean) /
//! deviation` and padding is its zero, that is a byte equal to the mean, which need not be whole. So each byte
//! becomes the 16-bit number `64 · byte − round(64 · mean)`, padding becomes 0, and the deviation lies in the
//! weights. As naive loops: see [`reference::stem`](super::reference::stem). The fast loop takes four pixels by
//! eight outputs, two of the window's numbers at a time: three rows of nine, filled up to ten by a weight of zero.

use super::panel::{FEW as PIXELS, Sums};
use super::{GROUP, pointwise, stored};
use crate::shape::{ConvShape, FeatureMap};
use crate::simd::{F32x4, I16x8, I32x4, Rounding};
use std::ops::Range;

/// How much finer than a byte the normalized colors are.
pub const FINE: i16 = 64;

/// Largest sum of the sizes of one output's weights, for sums to fit 32 bits beside a bias of the same size.
pub const LARGEST_WEIGHTS: i32 = i32::MAX / 2 / (255 * FINE as i32);

/// Pairs of numbers that a row of the window takes.
const PAIRS: usize = 5;

/// Weights of eight outputs.
const BLOCK: usize = 3 * PAIRS * 2 * GROUP;

/// Weights as [`forward`] reads them.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    mean: [i16; 3],
    weights: Vec<i16>,
    /// Of each eight outputs the even ones first.
    bias: Vec<i32>,
    scale: Vec<f32>,
}

impl Packed {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.weights.len() * 2 + (self.bias.len() + self.scale.len()) * 4
    }
}

/// `64 · mean`, rounded: what is taken off a color.
pub fn fine_mean(mean: f32) -> i16 {
    (mean * f32::from(FINE)).round_ties_even() as i16
}

/// Packs `kernel` (`[3][3][3][outputs]`, red first, in units of which no output's sizes sum to more than
/// [`LARGEST_WEIGHTS`]), `bias` (in units of a sum, at most 2³⁰), `scale` (output steps in a unit of a sum) and the
/// colors' `mean`, 0 to 255. No sum may reach [`LARGEST`](super::LARGEST) steps.
#[inline]
pub fn pack(kernel: &[i16], bias: &[i32], scale: &[f32], mean: [f32; 3]) -> Packed {
    let outputs = bias.len();
    let at = |output: usize| {
        let (half, lane) = super::panel::lane(output % GROUP, true);
        (output / GROUP, half * 4 + lane)
    };
    let mut packed = Packed {
        mean: mean.map(fine_mean),
        weights: vec![0; stored(outputs) / GROUP * BLOCK],
        bias: vec![0; stored(outputs)],
        scale: vec![0.0; stored(outputs)],
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

/// Numbers in one row of the room that [`forward`] needs: a pixel of padding, the row, and as many zeros as the
/// last four windows may touch.
fn row_len(shape: &ConvShape) -> usize {
    6 * shape.output.width.next_multiple_of(PIXELS) + 16
}

/// Numbers of room that [`forward`] needs for `rows` output rows.
pub fn room_len(shape: &ConvShape, rows: usize) -> usize {
    (2 * rows + 1) * row_len(shape)
}

/// Writes the output rows `rows` into `output`, whose first byte is the first of theirs. `input` is the whole
/// picture; `room` as [`room_len`] says.
pub fn forward(
    shape: &ConvShape,
    packed: &Packed,
    rows: Range<usize>,
    input: &[u8],
    room: &mut [i16],
    output: &mut [u8],
) {
    let FeatureMap { width, channels, .. } = shape.output;
    let outputs = stored(channels);
    let row_len = row_len(shape);
    let room = &mut room[..room_len(shape, rows.len())];
    for (index, room) in room.chunks_exact_mut(row_len).enumerate() {
        let y = (2 * rows.start + index).checked_sub(shape.pad_top).filter(|&y| y < shape.input.height);
        let row = y.map(|y| &input[y * shape.input.width * 3..][..shape.input.width * 3]);
        normalize(row.unwrap_or_default(), packed.mean, room);
    }
    // The room has a pixel of padding on the left, whether the window starts there or not.
    let left = 3 * (1 - shape.pad_left);
    let output = &mut output[..rows.len() * width * outputs];
    let rounding = Rounding::new();
    for (index, output) in output.chunks_exact_mut(width * outputs).enumerate() {
        let window = [0, 1, 2].map(|i| &room[(2 * index + i) * row_len..][..row_len]);
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

/// One row of pixels, or none, as fine numbers with zeros around.
fn normalize(row: &[u8], mean: [i16; 3], room: &mut [i16]) {
    let (before, room) = room.split_at_mut(3);
    let (inside, after) = room.split_at_mut(row.len());
    before.fill(0);
    after.fill(0);
    // Eight pixels are three vectors, and the colors of each vector are always the same ones.
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

/// Four windows, six numbers apart, by eight outputs.
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
