//! The depthwise 3×3 convolution: one filter a channel, little arithmetic for much memory.
//!
//! ```text
//! for y, x, channel:
//!     sum = bias[channel]
//!     for kx, ky: sum += map[y·stride + ky − pad][x·stride + kx − pad][channel] · kernel[ky][kx][channel]
//! ```
//!
//! Goes in: a dense map of four channels or more (a MobileNet's have eight). Comes out: rows of the next. Nothing is
//! padded: a column outside the map is not visited, and for a row outside it three weights are zero. Four channels slide
//! along a row with the nine vectors of their kernel in registers; each column of three inputs is loaded once and given to
//! every output that it is under, three of them at stride 1.
//!
//! The order is the first cache's. All channels pass over a part of a row that is short enough for it before the next part
//! is begun. Of [`WIDE`] channels and more no part is: pixels that are a power of two apart have the same few places in the
//! cache, and throw each other out between one four channels and the next. There a cache line of channels of several rows
//! is first copied into a patch, in which its pixels are neighbours (14 × 14 × 512: half of the time).
//! Next: the pointwise convolution.

use super::Bounds;
use crate::shape::{Activation, ConvShape};
use crate::simd::F32x4;
use std::ops::Range;

/// Channels of a vector.
const LANES: usize = 4;
/// Values that four channels take when packed: bias, then the kernel column by column.
const GROUP: usize = 10 * LANES;
/// Bytes of the three rows under a part: half of the smallest first cache.
const FIT: usize = 16 * 1024;
/// Outputs below which a part is not worth loading all weights again.
const FEWEST: usize = 7;
/// Channels from which patches are faster.
const WIDE: usize = 256;
/// Channels of a patch: a cache line of them.
const BLOCK: usize = 16;
/// Values of a patch: 20 KiB.
const PATCH: usize = 5 * 1024;

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
    let sweep = Sweep { shape, channels: packed.channels, bounds: Bounds::of(activation) };
    let (groups, _) = packed.groups.as_chunks();
    // A patch of `n` rows of outputs has `n · stride + 3 − stride` rows.
    let tall = (PATCH / (shape.input.width * BLOCK)).saturating_sub(3 - shape.stride) / shape.stride;
    if packed.channels >= WIDE && tall > 0 {
        sweep.patches(groups, tall, rows, input, output);
        return;
    }
    let width = shape.output.width;
    let fit = FIT / (3 * size_of::<f32>() * shape.stride * packed.channels);
    let together = width.div_ceil(width.div_ceil(fit.max(FEWEST)));
    let map = Source { values: input, top: 0, channels: packed.channels, first: 0 };
    sweep.rows(groups, 0, &map, together, rows, output);
}

/// Where the inputs lie: in the map or in a patch of it.
struct Source<'a> {
    /// Whole rows.
    values: &'a [f32],
    /// The first of them.
    top: usize,
    /// Channels that a pixel has here.
    channels: usize,
    /// The first of them.
    first: usize,
}

/// A convolution on its way over rows.
struct Sweep<'a> {
    shape: &'a ConvShape,
    channels: usize,
    bounds: Bounds,
}

impl Sweep<'_> {
    /// Rows `rows` of the output by way of patches, each for `tall` rows of it.
    fn patches(
        &self,
        groups: &[[f32; GROUP]],
        tall: usize,
        rows: Range<usize>,
        input: &[f32],
        output: &mut [f32],
    ) {
        let Self { shape, channels, .. } = *self;
        let (width, line) = (shape.output.width, shape.input.width * channels);
        let mut patch = [0.0; PATCH];
        for (part, output) in output.chunks_mut(tall * width * channels).enumerate() {
            let start = rows.start + part * tall;
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

    /// Rows `rows` of the output in the channels of `groups`, of which the first is number `group`; `together` outputs of
    /// a row in all of them before the next.
    #[inline(never)]
    fn rows(
        &self,
        groups: &[[f32; GROUP]],
        group: usize,
        source: &Source,
        together: usize,
        rows: Range<usize>,
        output: &mut [f32],
    ) {
        let Self { shape, channels, bounds } = *self;
        let line = shape.input.width * source.channels;
        for (y, output) in rows.zip(output.chunks_exact_mut(shape.output.width * channels)) {
            let row = |ky: usize| (y * shape.stride + ky).checked_sub(shape.pad_top);
            let inside = |ky: usize| row(ky).filter(|&row| row < shape.input.height);
            // The middle row is always inside; it stands in, times zero, for one that is not.
            let lines = [0, 1, 2].map(|ky| {
                let row = inside(ky).or(inside(1)).unwrap_or(source.top);
                &source.values[(row - source.top) * line..][..line]
            });
            let present = [0, 1, 2].map(|ky| inside(ky).is_some());
            for (part, output) in output.chunks_mut(together * channels).enumerate() {
                let start = part * together;
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

/// Copies [`BLOCK`] channels of dense `pixels` from `first` on, or as many as there are.
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

/// Kernel and bias of four channels, and what follows.
struct Group {
    bias: F32x4,
    /// Column by column, each from top to bottom.
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

    /// `sum` and what kernel column `kx` makes of three inputs.
    #[inline(always)]
    fn add(&self, kx: usize, inputs: [F32x4; 3], sum: F32x4) -> F32x4 {
        let [top, middle, bottom] = self.kernel[kx];
        let sum = inputs[0].mul_add(top, sum);
        let sum = inputs[1].mul_add(middle, sum);
        inputs[2].mul_add(bottom, sum)
    }

    /// What follows the convolution, then four channels of a pixel.
    #[inline(always)]
    fn store(&self, sum: F32x4, place: &mut [f32]) {
        self.bounds.clamp(sum).store(place);
    }
}

/// Four channels of the three input rows under an output row.
///
/// Places are counted and compared, not taken from iterators over pixels: those would be multiplied out for every column.
struct Columns<'a> {
    lines: [&'a [f32]; 3],
    /// Values from pixel to pixel.
    step: usize,
    /// Where the four channels of the first pixel are.
    first: usize,
}

impl Columns<'_> {
    /// Three inputs, the first of which is at `place`; none beyond the end.
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
    /// Where the four channels of the next pixel are.
    at: usize,
}

impl Outputs<'_> {
    /// The next pixel's, if there is one.
    #[inline(always)]
    fn next(&mut self) -> Option<&mut [f32]> {
        let place = self.values.get_mut(self.at..self.at + LANES);
        self.at += self.step;
        place
    }
}

/// Outputs of a row from `start` on at stride 1, one column of padding: every column ends one sum, continues the next,
/// begins the one after.
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

/// Outputs of a row at stride 2, whose first window begins at the column `start` or, without one, at the padding: columns
/// in pairs, of which the first lies under one sum and the second under two.
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
        // A last output that hangs over the right border has one column left, and no second one.
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
