//! The depthwise convolution where three rows of the map fit the first cache: read where they lie.
//!
//! Goes in: a dense map of whole groups of four channels. Comes out: rows of the next, to the bit what
//! [`depthwise`](super::depthwise) gives by way of its desk. Nothing is copied and nothing is padded: a column outside
//! the map is not visited, and for a row outside it three weights are zero. Four channels slide along a row with the
//! nine vectors of their kernel in registers; each column of three inputs is loaded once and given to every output
//! that it is under, three of them at stride 1.

use super::Bounds;
use super::depthwise::{GROUP, Group, LANES};
use crate::kernels::simd::F32x4;
use crate::shape::ConvShape;
use std::ops::Range;

/// Bytes of three rows up to which this way is the faster one: half of the smallest first cache, and some.
const FIT: usize = 24 * 1024;

/// Whether the convolution `shape` is to be done so.
pub(super) fn suits(shape: &ConvShape) -> bool {
    let channels = shape.input.channels;
    channels.is_multiple_of(LANES) && 3 * shape.input.width * channels * size_of::<f32>() <= FIT
}

/// As [`depthwise::forward`](super::depthwise::forward), of a shape that [`suits`].
pub(super) fn forward(
    shape: &ConvShape,
    groups: &[f32],
    bounds: Bounds,
    rows: Range<usize>,
    input: &[f32],
    output: &mut [f32],
) {
    let channels = shape.input.channels;
    let line = shape.input.width * channels;
    for (y, output) in rows.zip(output.chunks_exact_mut(shape.output.width * channels)) {
        let source = |ky: usize| (y * shape.stride + ky).checked_sub(shape.pad_top);
        let inside = |ky: usize| source(ky).filter(|&row| row < shape.input.height);
        // The middle row is always inside; it stands in, times zero, for one that is not.
        let lines = [0, 1, 2].map(|ky| {
            let row = inside(ky).or(inside(1)).unwrap_or(0);
            &input[row * line..][..line]
        });
        let present = [0, 1, 2].map(|ky| inside(ky).is_some());
        for (index, group) in groups.chunks_exact(GROUP).enumerate() {
            let (group, first) = (Group::new(group, bounds).without(present), index * LANES);
            if shape.stride == 1 {
                slide_by_one(&group, &Rows { lines }, first, channels, output);
            } else {
                slide_by_two(&group, &Rows { lines }, first, channels, shape.pad_left, output);
            }
        }
    }
}

/// The three input rows under one output row.
struct Rows<'a> {
    lines: [&'a [f32]; 3],
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
