//! The 1×1 convolution, where nine tenths of a MobileNet's time go: a matrix product.
//!
//! ```text
//! for pixel, output:
//!     sum = bias[output]
//!     for input: sum += map[pixel][input] · kernel[input][output]
//!     next[pixel][output] = clamp(sum)
//! ```
//!
//! Goes in: dense rows of `inputs` values, one row a pixel, and the kernel in panels. Comes out: dense rows of
//! `outputs`. What makes it fast:
//!
//! 1. A tile's sums live in registers, of which V8 hands out fifteen on x86. Where a multiply-add is one instruction
//!    ([`FUSED`]) that is six pixels × eight outputs: two of them begin in each cycle and take four, so that it takes more
//!    than eight sums to keep them coming. Where it is two, it is two pixels × sixteen outputs: six loads feed eight
//!    multiply-adds, and a product in flight takes a register too. Larger tiles spill; smaller ones wait for loads.
//!    What is left over (pixels, or eight outputs) takes a tile of four pixels × eight.
//! 2. The kernel is packed so that a tile reads it from front to back, one row per input. A panel stays in the
//!    first cache while all pixels pass it.
//! 3. Where multiply-adds are not fused, four inputs share one counter. They are taken as arrays of four, whose constant
//!    distances become part of the load instructions, and there is a way out after each: without it LLVM nests the
//!    products of one sum, all operands of all steps live at once, and half of them spill. That the ways out are never
//!    taken is hidden from it. What the processor can begin in a cycle is the limit there, and this is a tenth of the
//!    time.
//!
//! 4. Around a tile is as little as can be: a narrow network's tiles have 32 steps, and each is followed by clamping, storing
//!    and a branch that nobody foresees. So a panel that gives fewer outputs than it has writes to a place of its own first,
//!    and the loop over tiles knows no such case.
//!
//! Next: the following depthwise convolution, or the answers: the classifier is a pointwise with one pixel.

use super::Bounds;
use crate::aligned::{Aligned, zeros};
use crate::layout::transpose_rows;
use crate::shape::Activation;
use crate::simd::{F32x4, FUSED, columns};
use std::array::from_fn;

/// Pixels of a tile, and outputs of a panel.
const ROWS: usize = if FUSED { 6 } else { 2 };
const COLUMNS: usize = if FUSED { 8 } else { 16 };
/// Pixels of the tiles at the end, of which enough make up for pixels that are no number of [`ROWS`].
const REST: usize = if FUSED { 5 } else { 1 };
/// Outputs of a last panel that has no more than these.
const NARROW: usize = 8;
/// Rows of a kernel that are packed together.
const BLOCK: usize = 16;

/// Columns of a panel of `outputs` outputs.
fn width(outputs: usize) -> usize {
    if outputs <= NARROW { NARROW } else { COLUMNS }
}

/// A kernel `[inputs, outputs]` in panels of `COLUMNS` outputs, and its bias; the last has `NARROW` where those suffice,
/// and is filled up with zeros.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    inputs: usize,
    outputs: usize,
    panels: Aligned<f32>,
    bias: Vec<f32>,
}

impl Packed {
    /// Values at a pixel that goes in.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Values at a pixel that comes out.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        (self.panels.len() + self.bias.len()) * size_of::<f32>()
    }
}

/// Packs `kernel` (`[inputs, outputs]`) and `bias` (`[outputs]`), in the memory of `kernel` where that is enough: it mostly
/// is where it came from [`zeros`], and then a whole network is packed without being held
/// twice. The inputs follow from the lengths.
pub fn pack(kernel: Vec<f32>, bias: &[f32]) -> Packed {
    let outputs = bias.len();
    let inputs = kernel.len() / outputs.max(1);
    let rows = kernel.clone();
    let mut panels = Aligned::within(kernel, padded(outputs) * inputs);
    // Some rows at a time, so that they are read as they lie.
    for (block, rows) in rows.chunks((BLOCK * outputs).max(1)).enumerate() {
        pack_rows(rows, outputs, &mut panels, inputs, block * BLOCK);
    }
    packed(inputs, panels, bias)
}

/// Columns of all panels of `outputs` outputs.
fn padded(outputs: usize) -> usize {
    let rest = outputs % COLUMNS;
    outputs - rest + if rest > 0 { width(rest) } else { 0 }
}

/// A kernel of which the panels are filled.
fn packed(inputs: usize, panels: Aligned<f32>, bias: &[f32]) -> Packed {
    let outputs = bias.len();
    let mut bias = bias.to_vec();
    bias.resize(padded(outputs), 0.0);
    Packed { inputs, outputs, panels, bias }
}

/// As [`pack`], from a kernel `[outputs, inputs]`. As many of its rows as a panel has columns are what it is made of, and
/// take as much room: each becomes one where it stands, from the last to the first, because a panel may begin a little
/// later.
pub fn pack_rows_of_inputs(kernel: Vec<f32>, bias: &[f32]) -> Packed {
    let outputs = bias.len();
    let inputs = kernel.len() / outputs.max(1);
    let panels = Aligned::rearranged(kernel, padded(outputs) * inputs, |memory, start| {
        let mut rows = zeros(COLUMNS * inputs);
        for first in (0..outputs).step_by(COLUMNS).rev() {
            let (count, width) = (COLUMNS.min(outputs - first), width(outputs - first));
            let (rows, from) = (&mut rows[..count * inputs], first * inputs);
            rows.copy_from_slice(&memory[from..from + rows.len()]);
            let panel = &mut memory[start + from..][..width * inputs];
            if count < width {
                panel.fill(0.0);
            }
            transpose_rows(rows, inputs, panel, width);
        }
    });
    packed(inputs, panels, bias)
}

/// Puts rows of `outputs` values into all panels, where they begin with row `first` of `inputs`.
#[inline(never)]
fn pack_rows(rows: &[f32], outputs: usize, panels: &mut [f32], inputs: usize, first: usize) {
    for (panel, start) in panels.chunks_mut((COLUMNS * inputs).max(1)).zip((0..outputs).step_by(COLUMNS)) {
        let end = outputs.min(start + COLUMNS);
        let width = width(end - start);
        let panel = &mut panel[first * width..];
        for (packed, row) in panel.chunks_exact_mut(width).zip(rows.chunks_exact(outputs)) {
            let row = &row[start..end];
            // A length that the compiler knows: vectors, not a call for every row.
            if let (Ok(packed), Ok(row)) =
                (<&mut [f32; COLUMNS]>::try_from(&mut *packed), <&[f32; COLUMNS]>::try_from(row))
            {
                *packed = *row;
                continue;
            }
            packed.fill(0.0);
            packed[..row.len()].copy_from_slice(row);
        }
    }
}

/// The kernel that was packed, `[inputs, outputs]`. Nobody waits for it.
#[inline]
pub fn unpack(packed: &Packed) -> Vec<f32> {
    let Packed { inputs, outputs, .. } = *packed;
    let mut kernel = vec![0.0; inputs * outputs];
    for output in 0..outputs {
        for (input, value) in column(packed, output).into_iter().enumerate() {
            kernel[input * outputs + output] = value;
        }
    }
    kernel
}

/// What one output takes of each input.
#[inline]
pub fn column(packed: &Packed, output: usize) -> Vec<f32> {
    let (lane, width) = (output % COLUMNS, width(packed.outputs - (output - output % COLUMNS)));
    let panel = &packed.panels[(output - lane) * packed.inputs..];
    (0..packed.inputs).map(|input| panel[input * width + lane]).collect()
}

/// Every pixel of `input` (dense rows of `inputs`) into `output` (as many dense rows of `outputs`).
pub fn forward(packed: &Packed, activation: Activation, input: &[f32], output: &mut [f32]) {
    let Packed { inputs, outputs, .. } = *packed;
    let pixels = input.len() / inputs;
    let bounds = Bounds::of(activation);
    let full = full_tiles(pixels);
    let done = if FUSED && pixels == 1 { one_pixel(packed, bounds, input, output) } else { 0 };
    for first in (done..outputs).step_by(COLUMNS) {
        let columns = COLUMNS.min(outputs - first);
        let panel = &packed.panels[first * inputs..][..width(columns) * inputs];
        let bias = &packed.bias[first..];
        let sweep = Sweep { panel, bias, bounds, inputs, outputs, first, input, output };
        if columns == COLUMNS {
            sweep.all::<ROWS, REST, { COLUMNS / 4 }>(full);
        } else if columns == NARROW {
            sweep.all::<4, 1, { NARROW / 4 }>(usize::MAX);
        } else {
            sweep.some(columns);
        }
    }
}

/// One pixel, which is what a classifier sees: several panels at once, so that their sums keep the multiply-adds coming.
/// Gives how many panels are done; the last ones are left.
fn one_pixel(packed: &Packed, bounds: Bounds, input: &[f32], output: &mut [f32]) -> usize {
    /// Panels at once.
    const ABREAST: usize = 4;
    let whole = packed.panels.chunks_exact((ABREAST * COLUMNS * input.len()).max(1));
    let outputs = output.chunks_exact_mut(ABREAST * COLUMNS);
    let mut done = 0;
    for ((panels, bias), output) in whole.zip(packed.bias.chunks_exact(ABREAST * COLUMNS)).zip(outputs) {
        let rows = |panel: usize| panels[panel * COLUMNS * input.len()..].as_chunks::<COLUMNS>().0;
        let mut sums: [F32x4; ABREAST * COLUMNS / 4] = from_fn(|sum| F32x4::load(&bias[4 * sum..]));
        for ((((&value, a), b), c), d) in input.iter().zip(rows(0)).zip(rows(1)).zip(rows(2)).zip(rows(3)) {
            let value = F32x4::splat(value);
            let kernels = [a, b, c, d].into_iter().flat_map(|kernel| kernel.as_chunks::<4>().0);
            for (sum, kernel) in sums.iter_mut().zip(kernels) {
                *sum = value.mul_add(F32x4::load(kernel), *sum);
            }
        }
        for (sum, output) in sums.into_iter().zip(output.as_chunks_mut::<4>().0) {
            bounds.clamp(sum).store(output);
        }
        done += ABREAST * COLUMNS;
    }
    done
}

/// How many tiles of [`ROWS`] pixels to take of `pixels`, so that tiles of [`REST`] pixels take what is left.
fn full_tiles(pixels: usize) -> usize {
    // As many of the smaller tiles make up for a rest as the rest is short of a larger one.
    let rest = if FUSED { (ROWS - pixels % ROWS) % ROWS * REST } else { 0 };
    pixels.saturating_sub(rest) / ROWS
}

/// One panel on its way over all pixels.
struct Sweep<'a> {
    panel: &'a [f32],
    bias: &'a [f32],
    bounds: Bounds,
    inputs: usize,
    outputs: usize,
    /// The first of a pixel's outputs that the panel gives.
    first: usize,
    /// From the first pixel that has not been reached.
    input: &'a [f32],
    output: &'a mut [f32],
}

impl Sweep<'_> {
    /// All pixels, at first `full` tiles of `ROWS`, then tiles of `REST`, then one by one.
    #[inline(never)]
    fn all<const ROWS: usize, const REST: usize, const VECTORS: usize>(mut self, full: usize) {
        self.tiles::<ROWS, VECTORS>(full);
        self.tiles::<REST, VECTORS>(usize::MAX);
        self.tiles::<1, VECTORS>(usize::MAX);
    }

    /// All pixels, of whose outputs the panel gives `columns`, fewer than it has: by way of a place for all of them.
    #[inline(never)]
    fn some(self, columns: usize) {
        let Self { panel, bias, bounds, inputs, outputs, first, input, output } = self;
        let width = width(columns);
        let mut all = [0.0; ROWS * COLUMNS];
        for (input, output) in input.chunks(ROWS * inputs).zip(output.chunks_mut(ROWS * outputs)) {
            let sweep =
                Sweep { panel, bias, bounds, inputs, outputs: width, first: 0, input, output: &mut all };
            if width == COLUMNS {
                sweep.all::<ROWS, REST, { COLUMNS / 4 }>(1);
            } else {
                sweep.all::<4, 1, { NARROW / 4 }>(1);
            }
            for (all, output) in all.chunks_exact(width).zip(output.chunks_exact_mut(outputs)) {
                output[first..first + columns].copy_from_slice(&all[..columns]);
            }
        }
    }

    /// As many tiles of `ROWS` pixels as there are, at most `count`. A function by itself, for a browser is sooner done
    /// with optimising it.
    #[inline(never)]
    fn tiles<const ROWS: usize, const VECTORS: usize>(&mut self, count: usize) {
        let Self { panel, bias, bounds, inputs, outputs, first, .. } = *self;
        let count = count.min(self.input.len() / (ROWS * inputs));
        let (input, left) = self.input.split_at(count * ROWS * inputs);
        let (output, later) = std::mem::take(&mut self.output).split_at_mut(count * ROWS * outputs);
        (self.input, self.output) = (left, later);
        for (pixels, mut room) in
            input.chunks_exact(ROWS * inputs).zip(output.chunks_exact_mut(ROWS * outputs))
        {
            for sums in tile::<ROWS, VECTORS>(pixels, inputs, panel, bias) {
                let (pixel, others) = room.split_at_mut(outputs);
                for (sum, four) in sums.into_iter().zip(pixel[first..].as_chunks_mut::<4>().0) {
                    bounds.clamp(sum).store(four);
                }
                room = others;
            }
        }
    }
}

/// The sums of `ROWS` pixels over one panel. The tile of the file's head.
#[inline(always)]
fn tile<const ROWS: usize, const VECTORS: usize>(
    pixels: &[f32],
    inputs: usize,
    panel: &[f32],
    bias: &[f32],
) -> [[F32x4; VECTORS]; ROWS] {
    let (kernel, _) = panel.as_chunks::<4>().0.as_chunks::<VECTORS>();
    if FUSED {
        return fused(pixels, inputs, kernel, bias);
    }
    let pixels: [&[f32]; ROWS] = from_fn(|row| &pixels[row * inputs..][..inputs]);
    let mut sums = [from_fn(|vector| F32x4::load(&bias[4 * vector..])); ROWS];
    let mut step = |kernel: &[[f32; 4]; VECTORS], values: [f32; ROWS]| {
        let kernel: [F32x4; VECTORS] = from_fn(|vector| F32x4::load(&kernel[vector]));
        for (sums, value) in sums.iter_mut().zip(values) {
            let value = F32x4::splat(value);
            for (sum, kernel) in sums.iter_mut().zip(kernel) {
                *sum = value.mul_add(kernel, *sum);
            }
        }
    };
    let (fours, rest) = kernel.as_chunks::<4>();
    let mut rows = pixels.map(|pixel| pixel.as_chunks::<4>().0.iter());
    let hidden = std::hint::black_box(kernel.len());
    let mut left = hidden;
    'inputs: for four in fours {
        let mut values = [&[0.0; 4]; ROWS];
        for (values, row) in values.iter_mut().zip(&mut rows) {
            let Some(four) = row.next() else { break 'inputs };
            *values = four;
        }
        step(&four[0], values.map(|values| values[0]));
        if left < 2 {
            break;
        }
        step(&four[1], values.map(|values| values[1]));
        if left < 3 {
            break;
        }
        step(&four[2], values.map(|values| values[2]));
        if left < 4 {
            break;
        }
        step(&four[3], values.map(|values| values[3]));
        left -= 4;
    }
    for (index, kernel) in rest.iter().enumerate() {
        step(kernel, pixels.map(|pixel| pixel[4 * fours.len() + index]));
    }
    sums
}

/// As [`tile`], where a multiply-add is one instruction: there is no product to keep, so that twelve sums, two vectors of
/// the kernel and one value fill the registers.
#[inline(always)]
fn fused<const ROWS: usize, const VECTORS: usize>(
    pixels: &[f32],
    inputs: usize,
    kernel: &[[[f32; 4]; VECTORS]],
    bias: &[f32],
) -> [[F32x4; VECTORS]; ROWS] {
    let mut sums = [from_fn(|vector| F32x4::load(&bias[4 * vector..])); ROWS];
    columns::<_, ROWS>(pixels, inputs, kernel, |values, kernel| {
        let kernel: [F32x4; VECTORS] = from_fn(|vector| F32x4::load(&kernel[vector]));
        for (row, sums) in sums.iter_mut().enumerate() {
            let value = values.splat(row);
            for (sum, kernel) in sums.iter_mut().zip(kernel) {
                *sum = value.mul_add(kernel, *sum);
            }
        }
    });
    sums
}
