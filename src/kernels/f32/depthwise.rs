//! The depthwise 3×3 convolution: one filter a channel, little arithmetic for much memory.
//!
//! ```text
//! for y, x, channel:
//!     sum = bias[channel]
//!     for kx, ky: sum += map[y·stride + ky − pad][x·stride + kx − pad][channel] · kernel[ky][kx][channel]
//! ```
//!
//! Goes in: a dense map of four channels or more (a MobileNet's have eight). Comes out: rows of the next. Nothing is copied and nothing is padded: the
//! map is read where it lies, a column outside it is not visited, and for a row outside it three weights are zero. Four
//! channels slide along a row with the nine vectors of their kernel in registers; each column of three inputs is loaded
//! once and given to every output that it is under, three of them at stride 1. All channels pass over a part of a row that
//! is short enough for the first cache before the next part is begun: in a whole row, pixels a power of two apart would
//! throw each other out of it between one four channels and the next. Next: the pointwise convolution.

use super::Bounds;
use crate::kernels::simd::F32x4;
use crate::shape::{Activation, ConvShape};
use std::ops::Range;

/// Channels of a vector.
const LANES: usize = 4;
/// Values that four channels take when packed: bias, then the kernel column by column.
const GROUP: usize = 10 * LANES;
/// Bytes of the three rows under a part: half of the smallest first cache, and some.
const FIT: usize = 24 * 1024;
/// Outputs below which a part is not worth loading all weights again.
const FEWEST: usize = 7;

/// A kernel `[3, 3, channels]` and its bias, four channels after four. Where channels are left over, the last four are a
/// group too, and some of them lie in two.
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

/// Packs `kernel` (`[3, 3, channels]`) and `bias` (`[channels]`), of four channels or more.
#[inline]
pub fn pack(kernel: &[f32], bias: &[f32]) -> Packed {
    let channels = bias.len();
    let mut groups = Vec::with_capacity(channels.div_ceil(LANES) * GROUP);
    for group in 0..channels.div_ceil(LANES) {
        let first = first(group, channels);
        groups.extend_from_slice(&bias[first..first + LANES]);
        for tap in 0..9 {
            groups.extend_from_slice(&kernel[turned(tap) * channels + first..][..LANES]);
        }
    }
    Packed { channels, groups }
}

/// The kernel that was packed, `[3, 3, channels]`.
#[inline]
pub fn unpack(packed: &Packed) -> Vec<f32> {
    let channels = packed.channels;
    let mut kernel = vec![0.0; 9 * channels];
    for (index, group) in packed.groups.chunks_exact(GROUP).enumerate() {
        for (tap, weights) in group[LANES..].chunks_exact(LANES).enumerate() {
            kernel[turned(tap) * channels + first(index, channels)..][..LANES].copy_from_slice(weights);
        }
    }
    kernel
}

/// The first channel of a group.
fn first(group: usize, channels: usize) -> usize {
    (group * LANES).min(channels - LANES)
}

/// The tap that, counted column by column, is number `tap`; and the other way round.
fn turned(tap: usize) -> usize {
    tap % 3 * 3 + tap / 3
}

/// Output rows `rows` of the convolution of the whole map `input`, into `output`, whose first value is the first of
/// those rows.
pub fn forward(
    shape: &ConvShape,
    packed: &Packed,
    activation: Activation,
    rows: Range<usize>,
    input: &[f32],
    output: &mut [f32],
) {
    let channels = packed.channels;
    let line = shape.input.width * channels;
    let bounds = Bounds::of(activation);
    let width = shape.output.width;
    let most = (FIT / (3 * size_of::<f32>() * shape.stride * channels)).max(FEWEST);
    let together = width.div_ceil(width.div_ceil(most));
    for (y, output) in rows.zip(output.chunks_exact_mut(shape.output.width * channels)) {
        let source = |ky: usize| (y * shape.stride + ky).checked_sub(shape.pad_top);
        let inside = |ky: usize| source(ky).filter(|&row| row < shape.input.height);
        // The middle row is always inside; it stands in, times zero, for one that is not.
        let lines = [0, 1, 2].map(|ky| {
            let row = inside(ky).or(inside(1)).unwrap_or(0);
            &input[row * line..][..line]
        });
        let present = [0, 1, 2].map(|ky| inside(ky).is_some());
        for (part, output) in output.chunks_mut(together * channels).enumerate() {
            let start = part * together;
            for (index, group) in packed.groups.chunks_exact(GROUP).enumerate() {
                let (group, first) = (Group::new(group, bounds).without(present), first(index, channels));
                if shape.stride == 1 {
                    slide_by_one(&group, &Rows { lines }, first, channels, start, output);
                } else {
                    let start = (2 * start).checked_sub(shape.pad_left);
                    slide_by_two(&group, &Rows { lines }, first, channels, start, output);
                }
            }
        }
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
    fn new(packed: &[f32], bounds: Bounds) -> Self {
        let kernel =
            [0, 1, 2].map(|kx| [0, 1, 2].map(|ky| F32x4::load(&packed[(1 + kx * 3 + ky) * LANES..])));
        Self { bias: F32x4::load(packed), kernel, bounds }
    }

    /// The same with weights of zero for rows that are not `present`.
    #[inline(always)]
    fn without(mut self, present: [bool; 3]) -> Self {
        for column in &mut self.kernel {
            for (weight, present) in column.iter_mut().zip(present) {
                if !present {
                    *weight = F32x4::splat(0.0);
                }
            }
        }
        self
    }

    /// What follows the convolution, then the pixel's channels from `first` on.
    #[inline(always)]
    fn store(&self, sum: F32x4, first: usize, pixel: &mut [f32]) {
        self.bounds.clamp(sum).store(&mut pixel[first..first + LANES]);
    }

    /// `sum` and what kernel column `kx` makes of three inputs.
    #[inline(always)]
    fn add(&self, kx: usize, inputs: [F32x4; 3], sum: F32x4) -> F32x4 {
        let [top, middle, bottom] = self.kernel[kx];
        let sum = inputs[0].mul_add(top, sum);
        let sum = inputs[1].mul_add(middle, sum);
        inputs[2].mul_add(bottom, sum)
    }
}

/// The three input rows under one output row.
struct Rows<'a> {
    lines: [&'a [f32]; 3],
}

impl Rows<'_> {
    /// The columns from `first` on, `count` by `count`, three times as many pixels each.
    #[inline(always)]
    fn columns(
        &self,
        first: usize,
        channels: usize,
        count: usize,
    ) -> impl ExactSizeIterator<Item = [&[f32]; 3]> {
        let [top, middle, bottom] =
            self.lines.map(|line| line[first * channels..].chunks_exact(count * channels));
        top.zip(middle).zip(bottom).map(|((top, middle), bottom)| [top, middle, bottom])
    }
}

/// Four channels of the three pixels of a column.
#[inline(always)]
fn load(column: [&[f32]; 3], first: usize) -> [F32x4; 3] {
    column.map(|pixel| F32x4::load(&pixel[first..first + LANES]))
}

/// Outputs of a row from `start` on at stride 1, one column of padding: every column ends one sum, continues the next,
/// begins the one after.
#[inline(always)]
fn slide_by_one(group: &Group, rows: &Rows, first: usize, channels: usize, start: usize, output: &mut [f32]) {
    let mut current = group.bias;
    if let Some(before) = start.checked_sub(1) {
        let Some(column) = rows.columns(before, channels, 1).next() else { return };
        current = group.add(0, load(column, first), current);
    }
    let mut columns = rows.columns(start, channels, 1);
    let Some(column) = columns.next() else { return };
    let inputs = load(column, first);
    current = group.add(1, inputs, current);
    let mut next = group.add(0, inputs, group.bias);
    let mut outputs = output.chunks_exact_mut(channels);
    for (column, output) in columns.zip(&mut outputs) {
        let inputs = load(column, first);
        let done = group.add(2, inputs, current);
        current = group.add(1, inputs, next);
        next = group.add(0, inputs, group.bias);
        group.store(done, first, output);
    }
    if let Some(last) = outputs.next() {
        group.store(current, first, last);
    }
}

/// Outputs of a row at stride 2, whose first window begins at the column `start` or, without one, at the padding: columns
/// in pairs, of which the first lies under one sum and the second under two.
#[inline(always)]
fn slide_by_two(
    group: &Group,
    rows: &Rows,
    first: usize,
    channels: usize,
    start: Option<usize>,
    output: &mut [f32],
) {
    let mut sum = group.bias;
    if let Some(start) = start {
        let Some(column) = rows.columns(start, channels, 1).next() else { return };
        sum = group.add(0, load(column, first), sum);
    }
    let from = start.map_or(0, |start| start + 1);
    let pairs = rows.columns(from, channels, 2);
    let count = pairs.len();
    let mut outputs = output.chunks_exact_mut(channels);
    for (pair, output) in pairs.zip(&mut outputs) {
        sum = group.add(1, load(pair.map(|pair| &pair[..channels]), first), sum);
        let inputs = load(pair.map(|pair| &pair[channels..]), first);
        let done = group.add(2, inputs, sum);
        sum = group.add(0, inputs, group.bias);
        group.store(done, first, output);
    }
    // A last output that hangs over the right border has one column left, and no second one.
    if let Some(last) = outputs.next() {
        let Some(column) = rows.columns(from + 2 * count, channels, 1).next() else { return };
        group.store(group.add(1, load(column, first), sum), first, last);
    }
}
