//! The 3×3 depthwise convolution: one filter per channel, little arithmetic for much memory.
//!
//! ```text
//! for y, x, channel:
//!     sum = bias[channel]
//!     for kx, ky: sum += map[y·stride + ky − pad][x·stride + kx − pad][channel] · kernel[ky][kx][channel]
//! ```
//!
//! **Inner loop.** Four channels slide along a row with their nine weights in registers. Each column of three inputs is
//! loaded once and added to every output whose window contains it: three at stride 1, one or two at stride 2. The map
//! is not padded: columns outside it are not visited, and for a row outside it three weights are zero.
//!
//! **Loop order.** It follows the first-level cache. All channels pass over a part of a row that fits there before the
//! next part starts. With 256 channels or more, no part fits: pixels that are a power of two apart share a few cache
//! sets and evict each other between one group of channels and the next. There, one cache line of channels of a few
//! rows is first copied to a patch in which pixels are adjacent; on 14 × 14 × 512 this halves the time.

use super::Bounds;
use crate::shape::{Activation, ConvShape};
use crate::simd::F32x4;
use std::ops::Range;

/// Channels of a vector.
const LANES: usize = 4;
/// Packed values of four channels: bias, then the kernel column by column.
const GROUP: usize = 10 * LANES;
/// Bytes of the three input rows of a part: half of the smallest first-level cache in use.
const PART_BYTES: usize = 16 * 1024;
/// Outputs of the smallest part: below, loading all weights again costs more than the cache misses.
const MIN_PART: usize = 7;
/// Channels from which patches are faster than parts.
const PATCH_CHANNELS: usize = 256;
/// Channels of a patch: one cache line.
const BLOCK: usize = 16;
/// Values of a patch: 20 KiB.
const PATCH: usize = 5 * 1024;

/// A kernel `[3, 3, channels]` and its bias, packed in groups of four channels. The last group overlaps the one before
/// it if the number of channels is not a multiple of four.
#[derive(Clone, Debug, Default)]
pub struct PackedDepthwise {
    channels: usize,
    groups: Vec<f32>,
}

impl PackedDepthwise {
    /// Returns the size in bytes.
    pub fn bytes(&self) -> usize {
        self.groups.len() * size_of::<f32>()
    }
}

/// Packs `kernel` (`[3, 3, channels]`) and `bias` (`[channels]`).
///
/// # Panics
///
/// If `kernel` is shorter than `9 · channels`.
#[inline]
pub fn pack(kernel: &[f32], bias: &[f32]) -> PackedDepthwise {
    let channels = bias.len();
    if channels < LANES {
        return PackedDepthwise { channels, groups: [bias, kernel].concat() };
    }
    let mut groups = Vec::with_capacity(channels.div_ceil(LANES) * GROUP);
    for group in 0..channels.div_ceil(LANES) {
        let first = first(group, channels);
        groups.extend_from_slice(&bias[first..first + LANES]);
        for tap in 0..9 {
            groups.extend_from_slice(&kernel[transposed_tap(tap) * channels + first..][..LANES]);
        }
    }
    PackedDepthwise { channels, groups }
}

/// Returns the kernel that was packed, `[3, 3, channels]`.
#[inline]
pub fn unpack(packed: &PackedDepthwise) -> Vec<f32> {
    let channels = packed.channels;
    if channels < LANES {
        return packed.groups[channels..].to_vec();
    }
    let mut kernel = vec![0.0; 9 * channels];
    for (index, group) in packed.groups.chunks_exact(GROUP).enumerate() {
        for (tap, weights) in group[LANES..].chunks_exact(LANES).enumerate() {
            kernel[transposed_tap(tap) * channels + first(index, channels)..][..LANES]
                .copy_from_slice(weights);
        }
    }
    kernel
}

/// Returns the first channel of a group.
fn first(group: usize, channels: usize) -> usize {
    (group * LANES).min(channels - LANES)
}

/// Converts the index of a tap between row-major and column-major order.
fn transposed_tap(tap: usize) -> usize {
    tap % 3 * 3 + tap / 3
}

/// Computes the output rows `rows` from the whole map `input`.
///
/// `input` is dense, `height × width × channels`; values beyond the map are ignored. `output` holds the rows `rows`
/// only: `rows.len() · width · channels` values, dense, clamped by `activation`.
///
/// # Panics
///
/// If `rows` is outside the output, or `input` is shorter than the map that they cover.
///
/// # Examples
///
/// ```
/// use mobilenet_kernels::f32::depthwise;
/// use mobilenet_kernels::shape::{Activation, ConvShape, FeatureMap, Padding};
///
/// let shape = ConvShape::window(FeatureMap::new(3, 3, 4), 4, 1, Padding::Same);
/// let packed = depthwise::pack(&[1.0; 9 * 4], &[0.0; 4]); // every output is the sum of its window
/// let mut output = vec![0.0; shape.output.len()];
/// depthwise::forward(&shape, &packed, Activation::None, 0..3, &[1.0; 3 * 3 * 4], &mut output);
/// assert_eq!(output[..4], [4.0; 4]); // a corner: four of nine taps are inside
/// assert_eq!(output[4 * 4..5 * 4], [9.0; 4]); // the center
/// ```
pub fn forward(
    shape: &ConvShape,
    packed: &PackedDepthwise,
    activation: Activation,
    rows: Range<usize>,
    input: &[f32],
    output: &mut [f32],
) {
    if packed.channels < LANES {
        return few_channels(shape, packed, activation, rows, input, output);
    }
    let sweep = Sweep { shape, channels: packed.channels, bounds: Bounds::of(activation) };
    let (groups, _) = packed.groups.as_chunks();
    // A patch of `n` rows of outputs has `n · stride + 3 − stride` rows.
    let patch_rows = (PATCH / (shape.input.width * BLOCK)).saturating_sub(3 - shape.stride) / shape.stride;
    if packed.channels >= PATCH_CHANNELS && patch_rows > 0 {
        sweep.patches(groups, patch_rows, rows, input, output);
        return;
    }
    let width = shape.output.width;
    let fit = PART_BYTES / (3 * size_of::<f32>() * shape.stride * packed.channels);
    let part = width.div_ceil(width.div_ceil(fit.max(MIN_PART)));
    let map = Source { values: input, top: 0, channels: packed.channels, first: 0 };
    sweep.rows(groups, 0, &map, part, rows, output);
}

/// [`forward`] for fewer channels than a vector has: only the first block of networks of alpha 0.1 and below.
#[cold]
#[inline(never)]
fn few_channels(
    shape: &ConvShape,
    packed: &PackedDepthwise,
    activation: Activation,
    rows: Range<usize>,
    input: &[f32],
    output: &mut [f32],
) {
    let channels = packed.channels;
    let (bias, kernel) = packed.groups.split_at(channels);
    let (low, high) = activation.bounds();
    let width = shape.output.width;
    for (index, value) in output.iter_mut().enumerate().take(rows.len() * width * channels) {
        let (y, x) = (rows.start + index / channels / width, index / channels % width);
        let channel = index % channels;
        let mut sum = bias[channel];
        // Column by column, as the vectors of the fast loop.
        for tap in (0..9).map(transposed_tap) {
            let row = (y * shape.stride + tap / 3).checked_sub(shape.pad_top);
            let column = (x * shape.stride + tap % 3).checked_sub(shape.pad_left);
            if let (Some(row), Some(column)) = (row, column)
                && row < shape.input.height
                && column < shape.input.width
            {
                let pixel = row * shape.input.width + column;
                sum += input[pixel * channels + channel] * kernel[tap * channels + channel];
            }
        }
        *value = sum.max(low).min(high);
    }
}

/// Where the inputs are read from: the map or a patch of it.
struct Source<'a> {
    /// Whole rows.
    values: &'a [f32],
    /// The map's row that `values` starts with.
    top: usize,
    /// Channels per pixel in `values`.
    channels: usize,
    /// The first of them, as a channel of the map.
    first: usize,
}

/// What all rows of a convolution share.
struct Sweep<'a> {
    shape: &'a ConvShape,
    channels: usize,
    bounds: Bounds,
}

impl Sweep<'_> {
    /// Computes the output rows `rows`, copying the inputs of every `patch_rows` of them to a patch.
    fn patches(
        &self,
        groups: &[[f32; GROUP]],
        patch_rows: usize,
        rows: Range<usize>,
        input: &[f32],
        output: &mut [f32],
    ) {
        let Self { shape, channels, .. } = *self;
        let (width, line) = (shape.output.width, shape.input.width * channels);
        let mut patch = [0.0; PATCH];
        for (part, output) in output.chunks_mut(patch_rows * width * channels).enumerate() {
            let start = rows.start + part * patch_rows;
            let rows = start..start + output.len() / (width * channels);
            let top = (rows.start * shape.stride).saturating_sub(shape.pad_top);
            let end = rows.end * shape.stride + 3 - shape.stride - shape.pad_top;
            let pixels = &input[top * line..end.min(shape.input.height) * line];
            for (block, groups) in groups.chunks(BLOCK / LANES).enumerate() {
                let group = block * (BLOCK / LANES);
                let first = first(group, channels);
                copy(pixels, channels, first, &mut patch);
                let patch = Source { values: &patch, top, channels: BLOCK, first };
                self.rows(groups, group, &patch, width, rows.clone(), output);
            }
        }
    }

    /// Computes the output rows `rows` in the channels of `groups`, whose first has the index `group`: `part_len`
    /// outputs of a row in all groups before the next part.
    #[inline(never)]
    fn rows(
        &self,
        groups: &[[f32; GROUP]],
        group: usize,
        source: &Source,
        part_len: usize,
        rows: Range<usize>,
        output: &mut [f32],
    ) {
        let Self { shape, channels, bounds } = *self;
        let line = shape.input.width * source.channels;
        for (y, output) in rows.zip(output.chunks_exact_mut(shape.output.width * channels)) {
            let row = |ky: usize| (y * shape.stride + ky).checked_sub(shape.pad_top);
            let inside = |ky: usize| row(ky).filter(|&row| row < shape.input.height);
            // The middle row is always inside; times zero it replaces one that is not.
            let lines = [0, 1, 2].map(|ky| {
                let row = inside(ky).or(inside(1)).unwrap_or(source.top);
                &source.values[(row - source.top) * line..][..line]
            });
            let present = [0, 1, 2].map(|ky| inside(ky).is_some());
            for (part, output) in output.chunks_mut(part_len * channels).enumerate() {
                let start = part * part_len;
                for (index, packed) in groups.iter().enumerate() {
                    let first = first(group + index, channels);
                    let group = Group::new(packed, bounds).without(present);
                    let columns = Columns { lines, step: source.channels, first: first - source.first };
                    let outputs = Outputs { values: output, step: channels, at: first };
                    if shape.stride == 1 {
                        slide_by_one(&group, &columns, start, outputs);
                    } else {
                        slide_by_two(&group, &columns, (2 * start).checked_sub(shape.pad_left), outputs);
                    }
                }
            }
        }
    }
}

/// Copies up to [`BLOCK`] channels of dense `pixels`, from channel `first`, to a patch.
#[inline(never)]
fn copy(pixels: &[f32], channels: usize, first: usize, patch: &mut [f32; PATCH]) {
    for (pixel, copy) in pixels.chunks_exact(channels).zip(patch.as_chunks_mut::<BLOCK>().0) {
        let pixel = &pixel[first..];
        match pixel.first_chunk() {
            Some(block) => *copy = *block,
            None => copy[..pixel.len()].copy_from_slice(pixel),
        }
    }
}

/// Kernel, bias and activation of four channels.
struct Group {
    bias: F32x4,
    /// Column by column, each from top to bottom: `[kx][ky]`.
    kernel: [[F32x4; 3]; 3],
    bounds: Bounds,
}

impl Group {
    #[inline(always)]
    fn new(packed: &[f32; GROUP], bounds: Bounds) -> Self {
        let kernel =
            [0, 1, 2].map(|kx| [0, 1, 2].map(|ky| F32x4::load(&packed[(1 + kx * 3 + ky) * LANES..])));
        Self { bias: F32x4::load(packed), kernel, bounds }
    }

    /// Sets the weights of rows that are not `present` to zero.
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

    /// Adds the products of kernel column `kx` with three inputs to `sum`.
    #[inline(always)]
    fn add(&self, kx: usize, inputs: [F32x4; 3], sum: F32x4) -> F32x4 {
        let [top, middle, bottom] = self.kernel[kx];
        let sum = inputs[0].mul_add(top, sum);
        let sum = inputs[1].mul_add(middle, sum);
        inputs[2].mul_add(bottom, sum)
    }

    /// Applies the activation and stores four channels of a pixel.
    #[inline(always)]
    fn store(&self, sum: F32x4, place: &mut [f32]) {
        self.bounds.clamp(sum).store(place);
    }
}

/// Four channels of the three input rows under an output row.
///
/// Offsets are counted and compared instead of taken from iterators over pixels, which need a multiplication per
/// column.
struct Columns<'a> {
    lines: [&'a [f32]; 3],
    /// Values from pixel to pixel.
    step: usize,
    /// Offset of the four channels in the first pixel.
    first: usize,
}

impl Columns<'_> {
    /// Loads the three inputs at offset `place`, or returns `None` beyond the end of the row.
    #[inline(always)]
    fn load(&self, place: usize) -> Option<[F32x4; 3]> {
        let len = self.lines[0].len();
        let [Some(top), Some(middle), Some(bottom)] =
            self.lines.map(|line| line[..len].get(place..place + LANES))
        else {
            return None;
        };
        Some([top, middle, bottom].map(F32x4::load))
    }
}

/// Four channels of pixels of an output row.
struct Outputs<'a> {
    values: &'a mut [f32],
    /// Values from pixel to pixel.
    step: usize,
    /// Offset of the four channels of the next pixel.
    at: usize,
}

impl Outputs<'_> {
    /// Returns the next pixel's four channels, or `None` at the end of the row.
    #[inline(always)]
    fn next(&mut self) -> Option<&mut [f32]> {
        let place = self.values.get_mut(self.at..self.at + LANES);
        self.at += self.step;
        place
    }
}

/// Computes the outputs of a row from `start` on at stride 1, with one column of padding. Every input column completes
/// one sum, continues the next and starts the one after.
#[inline(always)]
fn slide_by_one(group: &Group, columns: &Columns, start: usize, mut outputs: Outputs) {
    let mut at = columns.first + start * columns.step;
    let mut current = group.bias;
    if start > 0 {
        let Some(inputs) = columns.load(at - columns.step) else { return };
        current = group.add(0, inputs, current);
    }
    let Some(inputs) = columns.load(at) else { return };
    current = group.add(1, inputs, current);
    let mut next = group.add(0, inputs, group.bias);
    while let Some(output) = outputs.next() {
        at += columns.step;
        let Some(inputs) = columns.load(at) else {
            group.store(current, output);
            return;
        };
        let done = group.add(2, inputs, current);
        current = group.add(1, inputs, next);
        next = group.add(0, inputs, group.bias);
        group.store(done, output);
    }
}

/// Computes the outputs of a row at stride 2. The first window starts at column `start`, or in the padding if `None`.
/// Input columns come in pairs: the first belongs to one sum, the second to two.
#[inline(always)]
fn slide_by_two(group: &Group, columns: &Columns, start: Option<usize>, mut outputs: Outputs) {
    let mut at = columns.first;
    let mut sum = group.bias;
    if let Some(start) = start {
        at += start * columns.step;
        let Some(inputs) = columns.load(at) else { return };
        sum = group.add(0, inputs, sum);
        at += columns.step;
    }
    while let Some(output) = outputs.next() {
        let Some(inputs) = columns.load(at) else { return };
        sum = group.add(1, inputs, sum);
        // The window of the last output may reach into the padding, with only one input column left.
        let Some(inputs) = columns.load(at + columns.step) else {
            group.store(sum, output);
            return;
        };
        let done = group.add(2, inputs, sum);
        sum = group.add(0, inputs, group.bias);
        group.store(done, output);
        at += 2 * columns.step;
    }
}
