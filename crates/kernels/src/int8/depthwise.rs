//! The 3×3 depthwise convolution in 8-bit integers, all of it in vectors of eight 16-bit lanes.
//!
//! Goes in: a map. Comes out: a panel for the pointwise convolution that follows. As naive loops
//! ([`reference::depthwise`](super::reference::depthwise)):
//!
//! ```text
//! for y, x, channel:
//!     sum = bias[channel] + Σ_i,j map[y·stride + i − top][x·stride + j − left][channel] · kernel[i][j][channel]
//!     panel[y·width + x][channel] = clamp((sum · factor[channel] + 2¹⁴) >> 15, 0, 127)
//! ```
//!
//! with zeros beyond the border. The scales are chosen such that no sum leaves 16 bits whatever the input
//! ([`fits`]), so a lane never widens. The fast loop slides along a row with the nine weights of eight channels in
//! registers, where bytes are multiplied two of them in one lane ([`Pair`]); each column of three inputs is loaded once and
//! feeds the two or three outputs it belongs to. A row beyond the border is any row with weights of zero.

use super::panel::{self, Cell};
use super::{GROUP, LEVELS, stored};
use crate::shape::ConvShape;
use crate::simd::{I8x16, I16x8, U8x16};
use std::ops::Range;

/// Weights as [`forward`] reads them: for each group of eight channels and each column of the kernel eight words of two
/// weights, the upper row's in the low byte, and eight of the lowest row's; then the bias, the factor.
#[derive(Clone, Debug)]
pub struct Packed {
    values: Vec<i16>,
}

/// Rows of eight that a group of channels takes.
const ROWS: usize = 8;

impl Packed {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.values.len() * size_of::<i16>()
    }
}

/// Whether no input 0 to 127 can drive the sum out of 16 bits.
pub fn fits(weights: [i8; 9], bias: i16) -> bool {
    let part = |wanted: fn(i32) -> bool| {
        let weights = weights.iter().map(|&weight| i32::from(weight));
        weights.filter(|&weight| wanted(weight)).sum::<i32>() * LEVELS + i32::from(bias)
    };
    part(|weight| weight > 0) <= i32::from(i16::MAX) && part(|weight| weight < 0) >= i32::from(i16::MIN)
}

/// Packs `kernel` (`[3][3][channels]`), `bias` (in units of a sum) and `factor` (2¹⁵ths of an output step in a unit
/// of a sum, not negative). [`fits`] holds for every channel.
#[inline]
pub fn pack(kernel: &[i8], bias: &[i16], factor: &[i16]) -> Packed {
    let channels = bias.len();
    let mut values = vec![0; stored(channels) * ROWS];
    for (group, values) in values.chunks_exact_mut(ROWS * GROUP).enumerate() {
        for channel in group * GROUP..channels.min((group + 1) * GROUP) {
            let lane = channel % GROUP;
            for column in 0..3 {
                let [upper, middle, lower] =
                    [0, 3, 6].map(|row| i16::from(kernel[(row + column) * channels + channel]));
                values[2 * column * GROUP + lane] = upper & 0xff | middle << 8;
                values[(2 * column + 1) * GROUP + lane] = lower;
            }
            values[6 * GROUP + lane] = bias[channel];
            values[7 * GROUP + lane] = factor[channel];
        }
    }
    Packed { values }
}

/// Writes the output rows `rows` as a panel of `abreast` pixels whose first pixel is the first of them. `input` is the
/// whole map, its channels [stored].
pub fn forward<C: Cell>(
    shape: &ConvShape,
    packed: &Packed,
    rows: Range<usize>,
    input: &[u8],
    panel: &mut [C],
    abreast: usize,
) {
    let channels = stored(shape.input.channels);
    let width = shape.output.width;
    let first = rows.start;
    let panel = &mut panel[..panel::len(rows.len() * width, channels, abreast)];
    for y in rows {
        let window = Window::new(shape, y, input, channels);
        let pixel = (y - first) * width;
        for (group, values) in packed.values.chunks_exact(ROWS * GROUP).enumerate() {
            let at = panel::offset::<C>(pixel, group * GROUP, channels, abreast);
            let left = abreast - pixel % abreast;
            let skip = (channels - C::RUN) * abreast;
            let out = Out { at, left, abreast, skip, panel: &mut *panel };
            // Cells of bytes are there where the build multiplies bytes.
            if size_of::<C>() == 1 {
                row::<Pair, C>(shape, &window, group * GROUP, values, out);
            } else {
                row::<[I16x8; 3], C>(shape, &window, group * GROUP, values, out);
            }
        }
    }
}

/// Eight channels from `channel` on of a row of outputs.
#[inline(always)]
fn row<T: Column, C: Cell>(
    shape: &ConvShape,
    window: &Window,
    channel: usize,
    values: &[i16],
    mut out: Out<C>,
) {
    let (weights, columns) = (window.weights::<T>(values), window.columns::<T>(channel));
    if shape.stride == 1 {
        stride_1(weights, columns, &mut out);
    } else {
        stride_2(weights, columns, shape.pad_left, &mut out);
    }
}

/// Eight channels of a column of three inputs, or of three weights.
trait Column: Copy {
    /// Of the first eight bytes of each row.
    fn inputs(rows: [&[u8]; 3]) -> Self;

    /// Of the packed words of the upper two and of the lowest.
    fn weights(two: I16x8, lowest: I16x8) -> Self;

    /// `sum` and the three products.
    fn add(self, weights: Self, sum: I16x8) -> I16x8;
}

impl Column for [I16x8; 3] {
    #[inline(always)]
    fn inputs(rows: [&[u8]; 3]) -> Self {
        rows.map(I16x8::load_u8)
    }

    #[inline(always)]
    fn weights(two: I16x8, lowest: I16x8) -> Self {
        let [upper, middle] = two.bytes();
        [upper, middle, lowest]
    }

    #[inline(always)]
    fn add(self, weights: Self, sum: I16x8) -> I16x8 {
        let [a, b, c] = self;
        sum.add(a.mul(weights[0])).add(b.mul(weights[1])).add(c.mul(weights[2]))
    }
}

/// The upper two, one after the other for each channel, and the lowest: two products of bytes are one instruction, and
/// weights and sums all have a register.
type Pair = (I8x16, I16x8);

impl Column for Pair {
    #[inline(always)]
    fn inputs([upper, middle, lowest]: [&[u8]; 3]) -> Self {
        let two = U8x16::load_low(upper).interleave_low(U8x16::load_low(middle));
        (two.as_i7(), I16x8::load_u8(lowest))
    }

    #[inline(always)]
    fn weights(two: I16x8, lowest: I16x8) -> Self {
        (two.as_i8(), lowest)
    }

    #[inline(always)]
    fn add(self, weights: Self, sum: I16x8) -> I16x8 {
        sum.add(I16x8::pairs_i8_i7(weights.0, self.0)).add(self.1.mul(weights.1))
    }
}

/// Three rows of the map under one row of outputs; rows beyond the border are some other row and not `inside`.
struct Window<'a> {
    rows: [&'a [u8]; 3],
    inside: [bool; 3],
    channels: usize,
}

impl<'a> Window<'a> {
    fn new(shape: &ConvShape, y: usize, input: &'a [u8], channels: usize) -> Self {
        let length = shape.input.width * channels;
        let top = y * shape.stride;
        let inside =
            [0, 1, 2].map(|i| (shape.pad_top..shape.pad_top + shape.input.height).contains(&(top + i)));
        let rows = [0, 1, 2].map(|i| {
            if inside[i] { &input[(top + i - shape.pad_top) * length..][..length] } else { &input[..length] }
        });
        Self { rows, inside, channels }
    }

    /// Eight channels from `channel` on of each column.
    #[inline(always)]
    fn columns<T: Column>(&self, channel: usize) -> impl Iterator<Item = T> {
        let (rows, length) = (self.rows, self.rows[0].len());
        (channel..length).step_by(self.channels).map(move |at| T::inputs(rows.map(|row| &row[at..length])))
    }

    /// The three weights of each column, zero where the row is outside, then bias and factor.
    #[inline(always)]
    fn weights<T: Column>(&self, values: &[i16]) -> Filter<T> {
        let [upper, middle, lowest] = self.inside.map(|inside| if inside { -1 } else { 0 });
        let (two, lowest) = (I16x8::splat(upper & 0xff | middle << 8), I16x8::splat(lowest));
        let row = |row: usize| I16x8::load(&values[row * GROUP..]);
        let columns = [0, 2, 4].map(|column| T::weights(row(column).and(two), row(column + 1).and(lowest)));
        (columns, row(6), row(7))
    }
}

/// Where the next output of a row goes.
struct Out<'a, C> {
    at: usize,
    /// Pixels up to the last of those abreast, itself included.
    left: usize,
    abreast: usize,
    /// From the end of those to the next.
    skip: usize,
    panel: &'a mut [C],
}

impl<C: Cell> Out<'_, C> {
    #[inline(always)]
    fn put(&mut self, sum: I16x8, factor: I16x8) {
        C::put(sum.mul_q15(factor), &mut self.panel[self.at..], self.abreast);
        self.at += C::RUN;
        self.left -= 1;
        if self.left == 0 {
            self.at += self.skip;
            self.left = self.abreast;
        }
    }
}

/// Weights of the three columns, bias and factor, for eight channels.
type Filter<T> = ([T; 3], I16x8, I16x8);

fn stride_1<T: Column, C: Cell>(
    ([left, middle, right], bias, factor): Filter<T>,
    mut columns: impl Iterator<Item = T>,
    out: &mut Out<C>,
) {
    let Some(first) = columns.next() else { return };
    let mut here = first.add(middle, bias);
    let mut next = first.add(left, bias);
    for column in columns {
        out.put(column.add(right, here), factor);
        here = column.add(middle, next);
        next = column.add(left, bias);
    }
    // The last window hangs over the border.
    out.put(here, factor);
}

fn stride_2<T: Column, C: Cell>(
    ([left, middle, right], bias, factor): Filter<T>,
    mut columns: impl Iterator<Item = T>,
    pad_left: usize,
    out: &mut Out<C>,
) {
    let mut here = bias;
    if pad_left == 0 {
        let Some(first) = columns.next() else { return };
        here = first.add(left, here);
    }
    while let Some(second) = columns.next() {
        here = second.add(middle, here);
        // The last window may hang over the border.
        let Some(third) = columns.next() else {
            out.put(here, factor);
            break;
        };
        out.put(third.add(right, here), factor);
        // The right column is also the next one's left.
        here = third.add(left, bias);
    }
}
