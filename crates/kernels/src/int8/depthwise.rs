//! The 3×3 depthwise convolution in 8-bit integers, entirely in vectors of eight 16-bit lanes.
//!
//! The input is a map, the output a [panel] for the pointwise convolution that follows. As naive loops
//! ([`reference::depthwise`](super::reference::depthwise)):
//!
//! ```text
//! for y, x, channel:
//!     sum = bias[channel] + Σ_i,j map[y·stride + i − top][x·stride + j − left][channel] · kernel[i][j][channel]
//!     panel[y·width + x][channel] = clamp((sum · factor[channel] + 2¹⁴) >> 15, 0, 127)
//! ```
//!
//! with zeros in the padding. Scales are chosen such that no input drives a sum out of 16 bits ([`fits`]), so that
//! lanes are never widened. The loop slides along a row with the nine weights of eight channels in registers; where
//! bytes are multiplied, two weights share a lane. Each column of three inputs is loaded once and added to the two or
//! three outputs whose windows contain it. A row in the padding is any row with weights of zero.

use super::panel::{self, PanelElement};
use super::{GROUP, MAX_ACTIVATION, padded_channels};
use crate::shape::ConvShape;
use crate::simd::{I8x16, I16x8, U8x16};
use std::ops::Range;

/// A kernel `[3][3][channels]` with bias and factor, packed for [`forward`]. For each group of eight channels and each
/// column of the kernel: eight words of two weights, the upper row's in the low byte, and eight of the lowest row's;
/// then bias and factor.
#[derive(Clone, Debug)]
pub struct PackedDepthwise {
    values: Vec<i16>,
}

/// Rows of eight values that a group of channels takes when packed.
const ROWS: usize = 8;

impl PackedDepthwise {
    /// Returns the size in bytes.
    pub fn bytes(&self) -> usize {
        self.values.len() * size_of::<i16>()
    }
}

/// Returns whether no input from 0 to 127 can drive the sum out of 16 bits.
pub fn fits(weights: [i8; 9], bias: i16) -> bool {
    let part = |wanted: fn(i32) -> bool| {
        let weights = weights.iter().map(|&weight| i32::from(weight));
        weights.filter(|&weight| wanted(weight)).sum::<i32>() * MAX_ACTIVATION + i32::from(bias)
    };
    part(|weight| weight > 0) <= i32::from(i16::MAX) && part(|weight| weight < 0) >= i32::from(i16::MIN)
}

/// Packs `kernel` (`[3][3][channels]`), `bias` (in units of a sum) and `factor` (steps of the output per unit of a sum,
/// times 2¹⁵, not negative).
///
/// [`fits`] must hold for every channel.
///
/// # Panics
///
/// If `kernel` or `factor` is too short for the channels of `bias`.
#[inline]
pub fn pack(kernel: &[i8], bias: &[i16], factor: &[i16]) -> PackedDepthwise {
    let channels = bias.len();
    let mut values = vec![0; padded_channels(channels) * ROWS];
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
    PackedDepthwise { values }
}

/// Computes the output rows `rows` from the whole map `input`.
///
/// `input` is `height × width` pixels of [padded](super::padded_channels) channels, 0 to 127. `panel` has tiles of
/// `tile_pixels` and holds the rows `rows` only: [`panel::len`]`(rows.len() · width, channels, tile_pixels)` elements.
///
/// # Panics
///
/// If `input` or `panel` is too short.
///
/// # Examples
///
/// ```
/// use mobilenet_kernels::int8::{depthwise, panel};
/// use mobilenet_kernels::shape::{ConvShape, FeatureMap, Padding};
///
/// let shape = ConvShape::window(FeatureMap::new(3, 3, 8), 8, 1, Padding::Same);
/// let packed = depthwise::pack(&[2; 9 * 8], &[0; 8], &[1 << 14; 8]); // the sum of the window, times 2, times 1/2
/// let mut output = vec![0_i16; panel::len(9, 8, 4)];
/// depthwise::forward(&shape, &packed, 0..3, &[10; 3 * 3 * 8], &mut output, 4);
/// assert_eq!(panel::get(&output, 0, 0, 8, 4), 40); // a corner: four of nine taps are inside
/// assert_eq!(panel::get(&output, 4, 0, 8, 4), 90); // the center
/// ```
pub fn forward<E: PanelElement>(
    shape: &ConvShape,
    packed: &PackedDepthwise,
    rows: Range<usize>,
    input: &[u8],
    panel: &mut [E],
    tile_pixels: usize,
) {
    let channels = padded_channels(shape.input.channels);
    let width = shape.output.width;
    let first = rows.start;
    let panel = &mut panel[..panel::len(rows.len() * width, channels, tile_pixels)];
    for y in rows {
        let window = Window::new(shape, y, input, channels);
        let pixel = (y - first) * width;
        for (group, values) in packed.values.chunks_exact(ROWS * GROUP).enumerate() {
            let at = panel::offset::<E>(pixel, group * GROUP, channels, tile_pixels);
            let left = tile_pixels - pixel % tile_pixels;
            let skip = (channels - E::RUN) * tile_pixels;
            let out = Out { at, left, tile_pixels, skip, panel: &mut *panel };
            // Panels of bytes exist where the build multiplies bytes.
            if size_of::<E>() == 1 {
                row::<PairColumn, E>(shape, &window, group * GROUP, values, out);
            } else {
                row::<[I16x8; 3], E>(shape, &window, group * GROUP, values, out);
            }
        }
    }
}

/// Computes a row of outputs for eight channels from `channel` on.
#[inline(always)]
fn row<T: Column, E: PanelElement>(
    shape: &ConvShape,
    window: &Window,
    channel: usize,
    values: &[i16],
    mut out: Out<E>,
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
    /// Loads the first eight bytes of each row.
    fn inputs(rows: [&[u8]; 3]) -> Self;

    /// Unpacks the words of the upper two weights and of the lowest.
    fn weights(two: I16x8, lowest: I16x8) -> Self;

    /// Adds the three products to `sum`.
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

/// The upper two rows interleaved, and the lowest: two products of bytes are one instruction, and all weights and sums
/// fit the registers.
type PairColumn = (I8x16, I16x8);

impl Column for PairColumn {
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

/// Three rows of the map under one row of outputs. A row in the padding is not `inside`, and some other row replaces
/// it.
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

    /// Returns eight channels from `channel` on of each column.
    #[inline(always)]
    fn columns<T: Column>(&self, channel: usize) -> impl Iterator<Item = T> {
        let (rows, length) = (self.rows, self.rows[0].len());
        (channel..length).step_by(self.channels).map(move |at| T::inputs(rows.map(|row| &row[at..length])))
    }

    /// Loads the three weights of each column, zero for rows outside, then bias and factor.
    #[inline(always)]
    fn weights<T: Column>(&self, values: &[i16]) -> Filter<T> {
        let [upper, middle, lowest] = self.inside.map(|inside| if inside { -1 } else { 0 });
        let (two, lowest) = (I16x8::splat(upper & 0xff | middle << 8), I16x8::splat(lowest));
        let row = |row: usize| I16x8::load(&values[row * GROUP..]);
        let columns = [0, 2, 4].map(|column| T::weights(row(column).and(two), row(column + 1).and(lowest)));
        (columns, row(6), row(7))
    }
}

/// The position of the next output of a row in a panel.
struct Out<'a, E> {
    at: usize,
    /// Pixels left in the tile.
    left: usize,
    tile_pixels: usize,
    /// Distance from the end of a tile's run to the next tile's.
    skip: usize,
    panel: &'a mut [E],
}

impl<E: PanelElement> Out<'_, E> {
    #[inline(always)]
    fn store(&mut self, sum: I16x8, factor: I16x8) {
        E::store_clamped(sum.mul_q15(factor), &mut self.panel[self.at..], self.tile_pixels);
        self.at += E::RUN;
        self.left -= 1;
        if self.left == 0 {
            self.at += self.skip;
            self.left = self.tile_pixels;
        }
    }
}

/// Weights of the three columns, bias and factor, for eight channels.
type Filter<T> = ([T; 3], I16x8, I16x8);

fn stride_1<T: Column, E: PanelElement>(
    ([left, middle, right], bias, factor): Filter<T>,
    mut columns: impl Iterator<Item = T>,
    out: &mut Out<E>,
) {
    let Some(first) = columns.next() else { return };
    let mut here = first.add(middle, bias);
    let mut next = first.add(left, bias);
    for column in columns {
        out.store(column.add(right, here), factor);
        here = column.add(middle, next);
        next = column.add(left, bias);
    }
    // The last window reaches into the padding.
    out.store(here, factor);
}

fn stride_2<T: Column, E: PanelElement>(
    ([left, middle, right], bias, factor): Filter<T>,
    mut columns: impl Iterator<Item = T>,
    pad_left: usize,
    out: &mut Out<E>,
) {
    let mut here = bias;
    if pad_left == 0 {
        let Some(first) = columns.next() else { return };
        here = first.add(left, here);
    }
    while let Some(second) = columns.next() {
        here = second.add(middle, here);
        // The last window may reach into the padding.
        let Some(third) = columns.next() else {
            out.store(here, factor);
            break;
        };
        out.store(third.add(right, here), factor);
        // The right column is the left one of the next window.
        here = third.add(left, bias);
    }
}
