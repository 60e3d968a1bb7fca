//! The depthwise 3×3 convolution: one filter a channel, little arithmetic for much memory.
//!
//! ```text
//! for y, x, channel:
//!     sum = bias[channel]
//!     for kx, ky: sum += map[y·stride + ky − pad][x·stride + kx − pad][channel] · kernel[ky][kx][channel]
//! ```
//!
//! Goes in: a dense map. Comes out: rows of the next. Small maps are read `in_place`. In large ones pixels a power of
//! two apart would throw each other out of the first cache. So sixteen channels pass through at a time, a cache line of every pixel: four rows of them
//! stand side by side in a `Desk`, with zeros where the window hangs over the border, and every row is copied there
//! once. On the desk everything is a constant distance apart. Four channels slide along it with the nine vectors of
//! their kernel in registers: each column of inputs is loaded once and given to every output that it is under; at
//! stride 1 two rows of outputs slide together, for they share two of four inputs. Next: the pointwise convolution.

use super::{Bounds, in_place};
use crate::kernels::simd::F32x4;
use crate::shape::{Activation, ConvShape, Map};
use std::ops::Range;

/// Channels of a vector.
pub(super) const LANES: usize = 4;
/// Channels on the desk.
const BLOCK: usize = 16;
/// Values that four channels take when packed: bias, then the kernel column by column.
pub(super) const GROUP: usize = 10 * LANES;
/// Rows of the map on the desk: as many as two rows of outputs lie under at stride 1. Both strides go on by two.
const LINES: usize = 4;
/// Rows of outputs on the desk.
const ROWS: usize = 2;

/// A column of the map on the desk, line by line.
type Column = [f32; LINES * BLOCK];

/// A kernel `[3, 3, channels]` and its bias, four channels after four, the last filled up with zeros.
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

/// Packs `kernel` (`[3, 3, channels]`) and `bias` (`[channels]`).
#[inline]
pub fn pack(kernel: &[f32], bias: &[f32]) -> Packed {
    let channels = bias.len();
    let mut groups = vec![0.0; channels.div_ceil(LANES) * GROUP];
    for (channel, &bias) in bias.iter().enumerate() {
        groups[place(0, channel)] = bias;
    }
    for (index, &weight) in kernel.iter().enumerate() {
        groups[place(1 + turned(index / channels), index % channels)] = weight;
    }
    Packed { channels, groups }
}

/// The kernel that was packed, `[3, 3, channels]`.
#[inline]
pub fn unpack(packed: &Packed) -> Vec<f32> {
    let channels = packed.channels;
    let weight = |index| packed.groups[place(1 + turned(index / channels), index % channels)];
    (0..9 * channels).map(weight).collect()
}

/// Where row `row` of a channel's group has its value.
fn place(row: usize, channel: usize) -> usize {
    channel / LANES * GROUP + row * LANES + channel % LANES
}

/// The number of a tap, counted column by column.
fn turned(tap: usize) -> usize {
    tap % 3 * 3 + tap / 3
}

/// Columns that the windows of one row lie over, border included.
fn columns(shape: &ConvShape) -> usize {
    shape.stride * (shape.output.width - 1) + 3
}

/// Values that [`forward`] needs as `room`. A block more than lies on the desk, so that whole columns can be taken from
/// any channel on.
pub fn room_len(shape: &ConvShape) -> usize {
    columns(shape) * LINES * BLOCK + shape.output.width * ROWS * BLOCK + 2 * BLOCK
}

/// Output rows `rows` of the convolution of the whole map `input`, into `output`, whose first value is the first of
/// those rows. What `room` ([`room_len`]) holds does not matter.
pub fn forward(
    shape: &ConvShape,
    packed: &Packed,
    activation: Activation,
    rows: Range<usize>,
    input: &[f32],
    room: &mut [f32],
    output: &mut [f32],
) {
    let channels = packed.channels;
    let bounds = Bounds::of(activation);
    let line = shape.output.width * channels;
    let output = &mut output[..rows.len() * line];
    if in_place::suits(shape) {
        in_place::forward(shape, &packed.groups, bounds, rows, input, output);
        return;
    }
    let together = if shape.stride == 1 { ROWS } else { 1 };
    let (map, sums) = room[..room_len(shape)].split_at_mut(columns(shape) * LINES * BLOCK + BLOCK);
    let mut desk = Desk { shape, input, map, sums };
    for (block, groups) in packed.groups.chunks(BLOCK / LANES * GROUP).enumerate() {
        let first = block * BLOCK;
        let block = first..channels.min(first + BLOCK);
        desk.border();
        let mut ready = rows.start * shape.stride;
        for (output, y) in output.chunks_mut(together * line).zip(rows.clone().step_by(together)) {
            // Rows count from the first of the padding, and the first under these outputs lies in line 0 or 2.
            let top = y * shape.stride;
            let skipped = rows.start * shape.stride;
            for row in ready..top + together + 2 {
                desk.take(row, (row - skipped) % LINES, block.clone(), channels);
            }
            ready = top + together + 2;
            for (index, group) in groups.chunks_exact(GROUP).enumerate() {
                let group = Group::new(group, bounds);
                let top = (top - skipped) % LINES;
                if shape.stride == 1 {
                    group.by_one(&mut desk, top, index * LANES);
                } else {
                    group.by_two(&mut desk, top, index * LANES);
                }
            }
            for (row, output) in output.chunks_exact_mut(line).enumerate() {
                desk.give(row, block.clone(), channels, output);
            }
        }
    }
}

/// Sixteen channels of four rows of the map with their border, and of the outputs above them.
struct Desk<'a> {
    shape: &'a ConvShape,
    input: &'a [f32],
    map: &'a mut [f32],
    sums: &'a mut [f32],
}

impl Desk<'_> {
    /// Zeros to the left and to the right of the map.
    fn border(&mut self) {
        let left = self.shape.pad_left * LINES * BLOCK;
        self.map[..left].fill(0.0);
        self.map[left + self.shape.input.width * LINES * BLOCK..].fill(0.0);
    }

    /// Copies the channels `block` of row `row` of the padded map to line `line`.
    fn take(&mut self, row: usize, line: usize, block: Range<usize>, channels: usize) {
        let Map { height, width, .. } = self.shape.input;
        let (desk, _) =
            self.map[self.shape.pad_left * LINES * BLOCK + line * BLOCK..].as_chunks_mut::<BLOCK>();
        let desk = desk.iter_mut().step_by(LINES).take(width);
        let Some(row) = row.checked_sub(self.shape.pad_top).filter(|&row| row < height) else {
            desk.for_each(|pixel| pixel.fill(0.0));
            return;
        };
        let pixels = self.input[row * width * channels..][..width * channels].chunks_exact(channels);
        for (pixel, desk) in pixels.zip(desk) {
            copy(&pixel[block.clone()], desk);
        }
    }

    /// Copies the sums of row `row` to the channels `block` of the map's row `output`.
    fn give(&self, row: usize, block: Range<usize>, channels: usize, output: &mut [f32]) {
        let desk = self.sums[row * BLOCK..].as_chunks::<BLOCK>().0.iter().step_by(ROWS);
        for (pixel, desk) in output.chunks_exact_mut(channels).zip(desk) {
            let pixel = &mut pixel[block.clone()];
            copy(&desk[..pixel.len()], pixel);
        }
    }
}

/// A copy without a call: vector by vector, then value by value.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    let to = &mut to[..from.len()];
    if let (Ok(from), Ok(to)) = (<&[f32; BLOCK]>::try_from(from), <&mut [f32; BLOCK]>::try_from(&mut *to)) {
        for lane in (0..BLOCK).step_by(LANES) {
            F32x4::load(&from[lane..]).store(&mut to[lane..]);
        }
        return;
    }
    let (vectors, values) = from.as_chunks::<LANES>();
    let (to_vectors, to_values) = to.as_chunks_mut::<LANES>();
    for (from, to) in vectors.iter().zip(to_vectors) {
        F32x4::load(from).store(to);
    }
    for (from, to) in values.iter().zip(to_values) {
        *to = *from;
    }
}

/// Kernel and bias of four channels, and what follows.
pub(super) struct Group {
    pub(super) bias: F32x4,
    /// Column by column, each from top to bottom.
    kernel: [[F32x4; 3]; 3],
    bounds: Bounds,
}

impl Group {
    #[inline(always)]
    pub(super) fn new(packed: &[f32], bounds: Bounds) -> Self {
        let kernel =
            [0, 1, 2].map(|kx| [0, 1, 2].map(|ky| F32x4::load(&packed[(1 + kx * 3 + ky) * LANES..])));
        Self { bias: F32x4::load(packed), kernel, bounds }
    }

    /// The same with weights of zero for rows that are not `present`.
    #[inline(always)]
    pub(super) fn without(mut self, present: [bool; 3]) -> Self {
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
    pub(super) fn store(&self, sum: F32x4, first: usize, pixel: &mut [f32]) {
        self.bounds.clamp(sum).store(&mut pixel[first..first + LANES]);
    }

    /// `sum` and what kernel column `kx` makes of three inputs.
    #[inline(always)]
    pub(super) fn add(&self, kx: usize, inputs: [F32x4; 3], sum: F32x4) -> F32x4 {
        let [top, middle, bottom] = self.kernel[kx];
        let sum = inputs[0].mul_add(top, sum);
        let sum = inputs[1].mul_add(middle, sum);
        inputs[2].mul_add(bottom, sum)
    }

    /// Two rows at stride 1: every column ends a sum of each, continues the next, begins the one after. The rows lie
    /// under the desk's lines from `top` on.
    fn by_one(&self, desk: &mut Desk, top: usize, lane: usize) {
        let mut columns = desk.map[lane..].as_chunks().0.iter().map(|values| column(values, top));
        let (Some([a, b, c, d]), Some([e, f, g, h])) = (columns.next(), columns.next()) else { return };
        let mut upper = self.add(1, [e, f, g], self.add(0, [a, b, c], self.bias));
        let mut lower = self.add(1, [f, g, h], self.add(0, [b, c, d], self.bias));
        let mut next_upper = self.add(0, [e, f, g], self.bias);
        let mut next_lower = self.add(0, [f, g, h], self.bias);
        for ([a, b, c, d], sums) in columns.zip(desk.sums[lane..].as_chunks_mut::<{ ROWS * BLOCK }>().0) {
            let done = [self.add(2, [a, b, c], upper), self.add(2, [b, c, d], lower)];
            upper = self.add(1, [a, b, c], next_upper);
            lower = self.add(1, [b, c, d], next_lower);
            next_upper = self.add(0, [a, b, c], self.bias);
            next_lower = self.add(0, [b, c, d], self.bias);
            self.bounds.clamp(done[0]).store(sums);
            self.bounds.clamp(done[1]).store(&mut sums[BLOCK..]);
        }
    }

    /// One row at stride 2: columns in pairs, of which the first lies under one sum and the second under two.
    fn by_two(&self, desk: &mut Desk, top: usize, lane: usize) {
        let (first, pairs) = desk.map[lane..].split_at(LINES * BLOCK);
        let three = |values| {
            let [top, middle, bottom, _] = column(values, top);
            [top, middle, bottom]
        };
        let Some(first) = first.first_chunk() else { return };
        let mut sum = self.add(0, three(first), self.bias);
        let pairs = pairs.as_chunks::<{ 2 * LINES * BLOCK }>().0;
        for (pair, sums) in pairs.iter().zip(desk.sums[lane..].as_chunks_mut::<{ ROWS * BLOCK }>().0) {
            let [Some(second), Some(third)] = [pair.first_chunk(), pair.last_chunk()] else { return };
            let third = three(third);
            let done = self.add(2, third, self.add(1, three(second), sum));
            sum = self.add(0, third, self.bias);
            self.bounds.clamp(done).store(sums);
        }
    }
}

/// Four channels of a column of the desk, from the line `top` on, which is 0 or 2.
#[inline(always)]
fn column(values: &Column, top: usize) -> [F32x4; LINES] {
    let (first, second) = (top & 2, !top & 2);
    [first, first + 1, second, second + 1].map(|line| F32x4::load(&values[line * BLOCK..]))
}
