//! The 1×1 convolution, nine tenths of a MobileNet's time: a matrix product.
//!
//! ```text
//! for pixel, output:
//!     sum = bias[output]
//!     for input: sum += map[pixel][input] · kernel[input][output]
//!     next[pixel][output] = clamp(sum)
//! ```
//!
//! **Tile.** A tile of sums stays in registers, of which V8 allocates 15 on x86. With fused multiply-add ([`FUSED`])
//! the loop is limited by latency: 4 cycles × 2 ports need more than 8 accumulators, so a tile is 6 pixels × 8 outputs
//! (12 accumulators). Without, it is limited by issue width and the product needs a register of its own, so a tile is 2
//! pixels × 16 outputs, where 6 loads feed 8 multiply-adds. Larger tiles spill. The crate's documentation has more
//! about tiles.
//!
//! **Remainder.** With fused multiply-add, tiles of 5 pixels make up for a number of pixels that is no multiple of 6. A
//! last panel of 8 outputs or fewer takes tiles of 4 pixels × 8.
//!
//! **Packing.** The kernel is packed into panels that a tile reads from front to back, one row per input. A panel stays
//! in the first-level cache while all pixels pass it.
//!
//! **Unrolling.** Without fused multiply-add, four inputs share one loop counter, with an early exit after each: they
//! are loaded as arrays of four, so that offsets are constants of the load instructions. The exits are never taken, but
//! `black_box` keeps LLVM from knowing that; without them it hoists the loads of all four steps and spills half of
//! them. This saves 10 % of the time.
//!
//! **Epilogue.** A thin network's tiles have 32 steps only, so little may surround them: a panel with fewer outputs
//! than columns writes to a buffer of its own first, and the loop over tiles has no such case.

use super::Bounds;
use crate::aligned::{Aligned, zeros};
use crate::layout::transpose_rows;
use crate::shape::Activation;
use crate::simd::{F32x4, FUSED, columns};
use std::array::from_fn;

/// Pixels of a tile.
const ROWS: usize = if FUSED { 6 } else { 2 };
/// Outputs of a panel.
const COLUMNS: usize = if FUSED { 8 } else { 16 };
/// Pixels of the smaller tiles that take the remainder of the pixels.
const REST: usize = if FUSED { 5 } else { 1 };
/// Outputs of a last panel that needs no more.
const NARROW: usize = 8;
/// Rows of a kernel that are packed together.
const BLOCK: usize = 16;

/// Returns the columns of a panel for `outputs` outputs.
fn width(outputs: usize) -> usize {
    if outputs <= NARROW { NARROW } else { COLUMNS }
}

/// A kernel `[inputs, outputs]` and its bias, packed in panels of `COLUMNS` outputs. The last panel has `NARROW`
/// columns if those suffice, and is padded with zeros.
#[derive(Clone, Debug, Default)]
pub struct PackedPointwise {
    inputs: usize,
    outputs: usize,
    panels: Aligned<f32>,
    bias: Vec<f32>,
}

impl PackedPointwise {
    /// Returns the number of input channels.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Returns the number of output channels.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Returns the size in bytes.
    pub fn bytes(&self) -> usize {
        (self.panels.len() + self.bias.len()) * size_of::<f32>()
    }
}

/// Packs `kernel` (`[inputs, outputs]`) and `bias` (`[outputs]`).
///
/// The number of inputs follows from the lengths. The memory of `kernel` is reused if its capacity suffices, which it
/// mostly does if it came from [`zeros`]; a whole network is then packed without holding its weights twice.
pub fn pack(kernel: Vec<f32>, bias: &[f32]) -> PackedPointwise {
    let outputs = bias.len();
    let inputs = kernel.len() / outputs.max(1);
    let rows = kernel.clone();
    let mut panels = Aligned::from_vec(kernel, padded(outputs) * inputs);
    // A few rows at a time, so that memory is read sequentially.
    for (block, rows) in rows.chunks((BLOCK * outputs).max(1)).enumerate() {
        pack_rows(rows, outputs, &mut panels, inputs, block * BLOCK);
    }
    packed(inputs, panels, bias)
}

/// Returns the columns of all panels together for `outputs` outputs.
fn padded(outputs: usize) -> usize {
    let rest = outputs % COLUMNS;
    outputs - rest + if rest > 0 { width(rest) } else { 0 }
}

/// Joins filled panels and `bias`.
fn packed(inputs: usize, panels: Aligned<f32>, bias: &[f32]) -> PackedPointwise {
    let outputs = bias.len();
    let mut bias = bias.to_vec();
    bias.resize(padded(outputs), 0.0);
    PackedPointwise { inputs, outputs, panels, bias }
}

/// Packs a transposed `kernel` (`[outputs, inputs]`) and `bias` (`[outputs]`); otherwise as [`pack`].
pub fn pack_rows_of_inputs(kernel: Vec<f32>, bias: &[f32]) -> PackedPointwise {
    let outputs = bias.len();
    let inputs = kernel.len() / outputs.max(1);
    // A panel consists of as many rows of the kernel as it has columns and is as long as these, so that it can replace
    // them in place; from the last to the first, because alignment may move panels to a higher address.
    let panels = Aligned::from_vec_with(kernel, padded(outputs) * inputs, |memory, start| {
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

/// Copies rows of `outputs` values to all panels, as their rows `first` and up of `inputs`.
#[inline(never)]
fn pack_rows(rows: &[f32], outputs: usize, panels: &mut [f32], inputs: usize, first: usize) {
    for (panel, start) in panels.chunks_mut((COLUMNS * inputs).max(1)).zip((0..outputs).step_by(COLUMNS)) {
        let end = outputs.min(start + COLUMNS);
        let width = width(end - start);
        let panel = &mut panel[first * width..];
        for (packed, row) in panel.chunks_exact_mut(width).zip(rows.chunks_exact(outputs)) {
            let row = &row[start..end];
            // With a constant length the copy compiles to vector moves instead of a call of memcpy.
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

/// Returns the kernel that was packed, `[inputs, outputs]`.
#[inline]
pub fn unpack(packed: &PackedPointwise) -> Vec<f32> {
    let PackedPointwise { inputs, outputs, .. } = *packed;
    let mut kernel = vec![0.0; inputs * outputs];
    for output in 0..outputs {
        for (input, value) in column(packed, output).into_iter().enumerate() {
            kernel[input * outputs + output] = value;
        }
    }
    kernel
}

/// Returns one output's weights, one per input.
///
/// # Panics
///
/// If `output` is not less than the number of outputs.
#[inline]
pub fn column(packed: &PackedPointwise, output: usize) -> Vec<f32> {
    let (lane, width) = (output % COLUMNS, width(packed.outputs - (output - output % COLUMNS)));
    let panel = &packed.panels[(output - lane) * packed.inputs..];
    (0..packed.inputs).map(|input| panel[input * width + lane]).collect()
}

/// Computes every pixel of `input` (dense, `pixels × inputs`) into `output` (dense, `pixels × outputs`), clamped by
/// `activation`.
///
/// # Panics
///
/// If the kernel has no inputs, or `output` is shorter than `input` needs.
///
/// # Examples
///
/// ```
/// use mobilenet_kernels::f32::pointwise;
/// use mobilenet_kernels::shape::Activation;
///
/// let kernel = vec![1.0, 10.0, 2.0, 20.0, 3.0, 30.0]; // three inputs, two outputs
/// let packed = pointwise::pack(kernel, &[0.5, 0.0]);
/// let mut output = [0.0; 4];
/// pointwise::forward(&packed, Activation::Relu, &[1.0, 1.0, 1.0, 0.0, -1.0, 0.0], &mut output);
/// assert_eq!(output, [6.5, 60.0, 0.0, 0.0]); // two pixels
/// ```
pub fn forward(packed: &PackedPointwise, activation: Activation, input: &[f32], output: &mut [f32]) {
    let PackedPointwise { inputs, outputs, .. } = *packed;
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

/// Computes a single pixel (a fully connected layer): several panels at once, because one panel has too few independent
/// sums to hide the latency of a multiply-add. Returns the number of outputs that are done; a remainder is left.
fn one_pixel(packed: &PackedPointwise, bounds: Bounds, input: &[f32], output: &mut [f32]) -> usize {
    /// Panels at once.
    const PANELS: usize = 4;
    let whole = packed.panels.chunks_exact((PANELS * COLUMNS * input.len()).max(1));
    let outputs = output.chunks_exact_mut(PANELS * COLUMNS);
    let mut done = 0;
    for ((panels, bias), output) in whole.zip(packed.bias.chunks_exact(PANELS * COLUMNS)).zip(outputs) {
        let rows = |panel: usize| panels[panel * COLUMNS * input.len()..].as_chunks::<COLUMNS>().0;
        let mut sums: [F32x4; PANELS * COLUMNS / 4] = from_fn(|sum| F32x4::load(&bias[4 * sum..]));
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
        done += PANELS * COLUMNS;
    }
    done
}

/// Returns the number of tiles of [`ROWS`] pixels to use for `pixels`, such that tiles of [`REST`] take the remainder.
fn full_tiles(pixels: usize) -> usize {
    // With REST = ROWS − 1, one small tile is needed for each pixel that the remainder is short of a full tile.
    let rest = if FUSED { (ROWS - pixels % ROWS) % ROWS * REST } else { 0 };
    pixels.saturating_sub(rest) / ROWS
}

/// One panel applied to all pixels.
struct Sweep<'a> {
    panel: &'a [f32],
    bias: &'a [f32],
    bounds: Bounds,
    inputs: usize,
    outputs: usize,
    /// The first output of the panel.
    first: usize,
    /// The pixels that are left.
    input: &'a [f32],
    output: &'a mut [f32],
}

impl Sweep<'_> {
    /// Computes all pixels: `full` tiles of `ROWS`, then tiles of `REST`, then single pixels.
    #[inline(never)]
    fn all<const ROWS: usize, const REST: usize, const VECTORS: usize>(mut self, full: usize) {
        self.tiles::<ROWS, VECTORS>(full);
        self.tiles::<REST, VECTORS>(usize::MAX);
        self.tiles::<1, VECTORS>(usize::MAX);
    }

    /// Computes all pixels for a panel of which only `columns` columns are outputs, through a buffer for all of its
    /// columns.
    #[inline(never)]
    fn some(self, columns: usize) {
        let Self { panel, bias, bounds, inputs, outputs, first, input, output } = self;
        let width = width(columns);
        let mut padded = [0.0; ROWS * COLUMNS];
        for (input, output) in input.chunks(ROWS * inputs).zip(output.chunks_mut(ROWS * outputs)) {
            let sweep =
                Sweep { panel, bias, bounds, inputs, outputs: width, first: 0, input, output: &mut padded };
            if width == COLUMNS {
                sweep.all::<ROWS, REST, { COLUMNS / 4 }>(1);
            } else {
                sweep.all::<4, 1, { NARROW / 4 }>(1);
            }
            for (padded, output) in padded.chunks_exact(width).zip(output.chunks_exact_mut(outputs)) {
                output[first..first + columns].copy_from_slice(&padded[..columns]);
            }
        }
    }

    /// Computes up to `count` tiles of `ROWS` pixels. Not inlined: a browser optimizes a small function sooner.
    #[inline(never)]
    fn tiles<const ROWS: usize, const VECTORS: usize>(&mut self, count: usize) {
        let Self { panel, bias, bounds, inputs, outputs, first, .. } = *self;
        let count = count.min(self.input.len() / (ROWS * inputs));
        let (input, rest) = self.input.split_at(count * ROWS * inputs);
        let (output, later) = std::mem::take(&mut self.output).split_at_mut(count * ROWS * outputs);
        (self.input, self.output) = (rest, later);
        for (pixels, mut out) in
            input.chunks_exact(ROWS * inputs).zip(output.chunks_exact_mut(ROWS * outputs))
        {
            for sums in tile::<ROWS, VECTORS>(pixels, inputs, panel, bias) {
                let (pixel, others) = out.split_at_mut(outputs);
                for (sum, four) in sums.into_iter().zip(pixel[first..].as_chunks_mut::<4>().0) {
                    bounds.clamp(sum).store(four);
                }
                out = others;
            }
        }
    }
}

/// Computes the sums of `ROWS` pixels over one panel, as the module's documentation describes.
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
    'unrolled: for four in fours {
        let mut values = [&[0.0; 4]; ROWS];
        for (values, row) in values.iter_mut().zip(&mut rows) {
            let Some(four) = row.next() else { break 'unrolled };
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

/// Computes [`tile`] with fused multiply-add: 12 sums, 2 vectors of the kernel and 1 value fill the registers.
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
