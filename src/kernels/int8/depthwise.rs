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
//! registers; each column of three inputs is loaded once and feeds the two or three outputs it belongs to. A row
//! beyond the border is any row with weights of zero.

use super::panel::{self, Cell};
use super::{GROUP, LEVELS, stored};
use crate::kernels::simd::I16x8;
use crate::shape::ConvShape;
use std::ops::Range;

/// Weights as [`forward`] reads them: for each group of eight channels nine rows of weights, the bias, the factor.
#[derive(Clone, Debug)]
pub struct Packed {
    values: Vec<i16>,
}

/// Rows of eight that a group of channels takes.
const ROWS: usize = 11;

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
            for tap in 0..9 {
                values[tap * GROUP + lane] = kernel[tap * channels + channel].into();
            }
            values[9 * GROUP + lane] = bias[channel];
            values[10 * GROUP + lane] = factor[channel];
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
            let mut out = Out { at, left, abreast, skip, panel: &mut *panel };
            if shape.stride == 1 {
                stride_1(&window, group * GROUP, values, shape, &mut out);
            } else {
                stride_2(&window, group * GROUP, values, shape, &mut out);
            }
        }
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
    fn columns(&self, channel: usize) -> impl Iterator<Item = [I16x8; 3]> {
        let (rows, length) = (self.rows, self.rows[0].len());
        (channel..length)
            .step_by(self.channels)
            .map(move |at| rows.map(|row| I16x8::load_u8(&row[at..length])))
    }

    /// The three weights of each column, zero where the row is outside, then bias and factor.
    #[inline(always)]
    fn weights(&self, values: &[i16]) -> ([[I16x8; 3]; 3], I16x8, I16x8) {
        let weight = |i: usize, j: usize| {
            if self.inside[i] { I16x8::load(&values[(3 * i + j) * GROUP..]) } else { I16x8::splat(0) }
        };
        let columns = [0, 1, 2].map(|j| [0, 1, 2].map(|i| weight(i, j)));
        (columns, I16x8::load(&values[9 * GROUP..]), I16x8::load(&values[10 * GROUP..]))
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

/// `sum + Σ column · weights`.
#[inline(always)]
fn add(sum: I16x8, column: [I16x8; 3], weights: [I16x8; 3]) -> I16x8 {
    let [a, b, c] = column;
    sum.add(a.mul(weights[0])).add(b.mul(weights[1])).add(c.mul(weights[2]))
}

fn stride_1<C: Cell>(window: &Window, channel: usize, values: &[i16], shape: &ConvShape, out: &mut Out<C>) {
    let ([left, middle, right], bias, factor) = window.weights(values);
    let mut columns = window.columns(channel);
    let Some(first) = columns.next() else { return };
    let border = [I16x8::splat(0); 3];
    let mut here = add(bias, first, middle);
    let mut next = add(bias, first, left);
    for _ in 0..shape.output.width {
        let column = columns.next().unwrap_or(border);
        out.put(add(here, column, right), factor);
        here = add(next, column, middle);
        next = add(bias, column, left);
    }
}

fn stride_2<C: Cell>(window: &Window, channel: usize, values: &[i16], shape: &ConvShape, out: &mut Out<C>) {
    let ([left, middle, right], bias, factor) = window.weights(values);
    let mut columns = window.columns(channel);
    let border = [I16x8::splat(0); 3];
    let mut here = bias;
    if shape.pad_left == 0 {
        let Some(first) = columns.next() else { return };
        here = add(here, first, left);
    }
    for _ in 0..shape.output.width {
        let [second, third] = [(); 2].map(|()| columns.next().unwrap_or(border));
        out.put(add(add(here, second, middle), third, right), factor);
        // The right column is also the next one's left.
        here = add(bias, third, left);
    }
}
