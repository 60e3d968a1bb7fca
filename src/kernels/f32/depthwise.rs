//! The depthwise 3×3 convolution: one filter a channel, little arithmetic for much memory.
//!
//! ```text
//! for y, x, channel:
//!     sum = bias[channel]
//!     for kx, ky: sum += map[y·stride + ky − pad][x·stride + kx − pad][channel] · kernel[ky][kx][channel]
//! ```
//!
//! Goes in: a dense map. Comes out: rows of the next. Four channels at a time slide along a row with the nine vectors
//! of their kernel in registers: each column of three inputs is loaded once and given to every output that it is
//! under, three of them at stride 1. Nothing is padded: a column outside the map is not visited, and for a row
//! outside it three weights are zero. Where the channels are no multiple of four the last four overlap their
//! neighbours and are computed twice. Next: the pointwise convolution.

use super::Bounds;
use crate::kernels::simd::F32x4;
use crate::shape::{Activation, ConvShape};
use std::ops::Range;

/// Channels of a vector.
const LANES: usize = 4;
/// Values that four channels take when packed: bias, then the kernel column by column.
const GROUP: usize = 10 * LANES;

/// A kernel `[3, 3, channels]` and its bias, four channels after four.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    channels: usize,
    groups: Vec<f32>,
}

impl Packed {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.groups.len() * size_of::<f32>()
    }
}

/// First channel of every group: multiples of four, the last moved back to end with the channels.
fn starts(channels: usize) -> impl Iterator<Item = usize> {
    (0..channels).step_by(LANES).map(move |first| first.min(channels.saturating_sub(LANES)))
}

/// Packs `kernel` (`[3, 3, channels]`) and `bias` (`[channels]`).
pub fn pack(kernel: &[f32], bias: &[f32]) -> Packed {
    let channels = bias.len();
    let mut groups = vec![0.0; channels.div_ceil(LANES) * GROUP];
    for (group, first) in groups.chunks_exact_mut(GROUP).zip(starts(channels)) {
        let width = LANES.min(channels - first);
        let columns = (0..3).flat_map(|kx| (0..3).map(move |ky| ky * 3 + kx));
        let taps = columns.map(|tap| &kernel[tap * channels + first..]);
        for (packed, values) in group.chunks_exact_mut(LANES).zip(std::iter::once(&bias[first..]).chain(taps))
        {
            packed[..width].copy_from_slice(&values[..width]);
        }
    }
    Packed { channels, groups }
}

/// Output rows `rows` of the convolution of the whole map `input`, into `output`, whose first value is the first of
/// those rows. The padding is 0 or 1 on the left and at the top, as [`ConvShape::window`] gives it.
pub fn forward(
    shape: &ConvShape,
    packed: &Packed,
    activation: Activation,
    rows: Range<usize>,
    input: &[f32],
    output: &mut [f32],
) {
    let channels = packed.channels;
    let bounds = Bounds::of(activation);
    let line = shape.input.width * channels;
    for (y, output) in rows.zip(output.chunks_exact_mut(shape.output.width * channels)) {
        let source = |ky: usize| (y * shape.stride + ky).checked_sub(shape.pad_top);
        let inside = |ky: usize| source(ky).filter(|&row| row < shape.input.height);
        let rows = Rows {
            // The middle row is always inside; it stands in, times zero, for one that is not.
            lines: [0, 1, 2].map(|ky| {
                let row = inside(ky).or(inside(1)).unwrap_or(0);
                &input[row * line..][..line]
            }),
            present: [0, 1, 2].map(|ky| inside(ky).is_some()),
        };
        for (group, first) in packed.groups.chunks_exact(GROUP).zip(starts(channels)) {
            let group = Group::new(group, rows.present, bounds);
            match (channels < LANES, shape.stride) {
                (true, _) => few(shape, &group, &rows, channels, output),
                (false, 1) => slide_by_one(&group, &rows, first, channels, output),
                (false, _) => slide_by_two(&group, &rows, first, channels, shape.pad_left, output),
            }
        }
    }
}

/// The three input rows under one output row.
struct Rows<'a> {
    lines: [&'a [f32]; 3],
    present: [bool; 3],
}

impl Rows<'_> {
    /// The columns from `first` on, three pixels each.
    #[inline(always)]
    fn columns(&self, first: usize, channels: usize) -> impl Iterator<Item = [&[f32]; 3]> {
        let [top, middle, bottom] = self.lines.map(|line| line[first * channels..].chunks_exact(channels));
        top.zip(middle).zip(bottom).map(|((top, middle), bottom)| [top, middle, bottom])
    }

    /// The columns from `first` on, two by two, three times two pixels each.
    #[inline(always)]
    fn pairs(&self, first: usize, channels: usize) -> impl Iterator<Item = [&[f32]; 3]> {
        let [top, middle, bottom] =
            self.lines.map(|line| line[first * channels..].chunks_exact(2 * channels));
        top.zip(middle).zip(bottom).map(|((top, middle), bottom)| [top, middle, bottom])
    }
}

/// Kernel and bias of four channels, and what follows.
struct Group {
    bias: F32x4,
    /// Column by column, each from top to bottom.
    kernel: [[F32x4; 3]; 3],
    bounds: Bounds,
}

impl Group {
    #[inline(always)]
    fn new(packed: &[f32], present: [bool; 3], bounds: Bounds) -> Self {
        let zero = F32x4::splat(0.0);
        let tap = |kx: usize, ky: usize| {
            if present[ky] { F32x4::load(&packed[(1 + kx * 3 + ky) * LANES..]) } else { zero }
        };
        let kernel = [0, 1, 2].map(|kx| [0, 1, 2].map(|ky| tap(kx, ky)));
        Self { bias: F32x4::load(packed), kernel, bounds }
    }

    /// `sum` and what kernel column `kx` makes of a column of inputs.
    #[inline(always)]
    fn add(&self, kx: usize, inputs: [F32x4; 3], sum: F32x4) -> F32x4 {
        let [top, middle, bottom] = self.kernel[kx];
        let sum = inputs[0].mul_add(top, sum);
        let sum = inputs[1].mul_add(middle, sum);
        inputs[2].mul_add(bottom, sum)
    }

    /// What follows the convolution, then the pixel's channels from `first` on.
    #[inline(always)]
    fn store(&self, sum: F32x4, first: usize, pixel: &mut [f32]) {
        self.bounds.clamp(sum).store(&mut pixel[first..first + LANES]);
    }
}

/// Four channels of the three pixels of a column.
#[inline(always)]
fn load(column: [&[f32]; 3], first: usize) -> [F32x4; 3] {
    column.map(|pixel| F32x4::load(&pixel[first..first + LANES]))
}

/// One row at stride 1, one column of padding: every column ends one sum, continues the next, begins the one after.
#[inline(always)]
fn slide_by_one(group: &Group, rows: &Rows, first: usize, channels: usize, output: &mut [f32]) {
    let Some(column) = rows.columns(0, channels).next() else { return };
    let inputs = load(column, first);
    let mut current = group.add(1, inputs, group.bias);
    let mut next = group.add(0, inputs, group.bias);
    let (outputs, last) = output.split_at_mut(output.len() - channels);
    for (column, output) in rows.columns(1, channels).zip(outputs.chunks_exact_mut(channels)) {
        let inputs = load(column, first);
        let done = group.add(2, inputs, current);
        current = group.add(1, inputs, next);
        next = group.add(0, inputs, group.bias);
        group.store(done, first, output);
    }
    group.store(current, first, last);
}

/// One row at stride 2: columns in pairs, of which the first lies under one sum and the second under two.
#[inline(always)]
fn slide_by_two(
    group: &Group,
    rows: &Rows,
    first: usize,
    channels: usize,
    pad_left: usize,
    output: &mut [f32],
) {
    let mut sum = group.bias;
    if pad_left == 0 {
        let Some(column) = rows.columns(0, channels).next() else { return };
        sum = group.add(0, load(column, first), sum);
    }
    let width = rows.lines[0].len() / channels;
    let from = 1 - pad_left.min(1);
    let pairs = (width - from) / 2;
    let (outputs, last) = output.split_at_mut(pairs * channels);
    for (pair, output) in rows.pairs(from, channels).zip(outputs.chunks_exact_mut(channels)) {
        sum = group.add(1, load(pair.map(|pair| &pair[..channels]), first), sum);
        let inputs = load(pair.map(|pair| &pair[channels..]), first);
        let done = group.add(2, inputs, sum);
        sum = group.add(0, inputs, group.bias);
        group.store(done, first, output);
    }
    // A last output that hangs over the right border has one column left, and no second one.
    if !last.is_empty() {
        let Some(column) = rows.columns(from + 2 * pairs, channels).next() else { return };
        group.store(group.add(1, load(column, first), sum), first, last);
    }
}

/// One row of fewer than four channels, pixel by pixel.
fn few(shape: &ConvShape, group: &Group, rows: &Rows, channels: usize, output: &mut [f32]) {
    for (x, output) in output.chunks_exact_mut(channels).enumerate() {
        let mut sum = group.bias;
        for kx in 0..3 {
            let column = (x * shape.stride + kx).checked_sub(shape.pad_left);
            let Some(column) = column.filter(|&column| column < shape.input.width) else { continue };
            let inputs = rows.lines.map(|line| {
                let mut four = [0.0; LANES];
                four[..channels].copy_from_slice(&line[column * channels..][..channels]);
                F32x4::load(&four)
            });
            sum = group.add(kx, inputs, sum);
        }
        output.copy_from_slice(&group.bounds.clamp(sum).to_array()[..channels]);
    }
}
