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
//! 1. A tile of two pixels × sixteen outputs: eight sums live in registers, and six loads feed eight multiply-adds.
//!    With four vectors of the kernel, one value of the map and one product in flight that is all of the fifteen
//!    registers that V8 hands out on x86. Larger tiles spill; smaller ones wait for loads.
//!    Eight outputs that are left over take a tile of four pixels × eight, for the same reasons.
//! 2. The kernel is packed so that a tile reads it from front to back: `bias[16]`, then one row of 16 per input. A
//!    panel stays in the first cache while all pixels pass it.
//! 3. One step is one input. Where multiply-adds are not fused, and what the processor can begin in a cycle is the
//!    limit, four steps share one counter, with a way out after each: without it LLVM nests the products of one sum,
//!    all operands of all steps live at once, and half of them spill.
//!
//! Next: the following depthwise convolution, or the answers: the classifier is a pointwise with one pixel.

use super::Bounds;
use crate::kernels::simd::{F32x4, FUSED};
use crate::shape::Activation;
use std::array::from_fn;

/// Outputs of a panel.
const COLUMNS: usize = 16;
/// Outputs of a last panel that has no more than these.
const NARROW: usize = 8;

/// Columns of a panel of `outputs` outputs.
fn width(outputs: usize) -> usize {
    if outputs <= NARROW { NARROW } else { COLUMNS }
}

/// A kernel `[inputs, outputs]` and its bias in panels of sixteen outputs; the last has eight where those suffice, and is
/// filled up with zeros.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    inputs: usize,
    outputs: usize,
    panels: Vec<f32>,
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
        self.panels.len() * size_of::<f32>()
    }
}

/// Packs `kernel` (`[inputs, outputs]`) and `bias` (`[outputs]`); the inputs follow from the lengths.
pub fn pack(kernel: &[f32], bias: &[f32]) -> Packed {
    let outputs = bias.len();
    let inputs = kernel.len() / outputs.max(1);
    let whole = outputs / COLUMNS * COLUMNS;
    let last = if outputs > whole { width(outputs - whole) } else { 0 };
    let mut panels = vec![0.0; (whole + last) * (inputs + 1)];
    for (panel, first) in panels.chunks_mut(COLUMNS * (inputs + 1)).zip((0..outputs).step_by(COLUMNS)) {
        let columns = first..outputs.min(first + COLUMNS);
        let rows = std::iter::once(bias).chain(kernel.chunks_exact(outputs));
        for (packed, row) in panel.chunks_exact_mut(width(columns.len())).zip(rows) {
            packed[..columns.len()].copy_from_slice(&row[columns.clone()]);
        }
    }
    Packed { inputs, outputs, panels }
}

/// The kernel that was packed, `[inputs, outputs]`.
pub fn unpack(packed: &Packed) -> Vec<f32> {
    let Packed { inputs, outputs, ref panels } = *packed;
    let mut kernel = vec![0.0; inputs * outputs];
    for (panel, first) in panels.chunks(COLUMNS * (inputs + 1)).zip((0..outputs).step_by(COLUMNS)) {
        let columns = first..outputs.min(first + COLUMNS);
        let rows = panel.chunks_exact(width(columns.len())).skip(1);
        for (packed, row) in rows.zip(kernel.chunks_exact_mut(outputs)) {
            row[columns.clone()].copy_from_slice(&packed[..columns.len()]);
        }
    }
    kernel
}

/// Every pixel of `input` (dense rows of `inputs`) into `output` (as many dense rows of `outputs`).
pub fn forward(packed: &Packed, activation: Activation, input: &[f32], output: &mut [f32]) {
    let Packed { inputs, outputs, ref panels } = *packed;
    let bounds = Bounds::of(activation);
    for (panel, first) in panels.chunks(COLUMNS * (inputs + 1)).zip((0..outputs).step_by(COLUMNS)) {
        let to = Columns { first, end: outputs.min(first + COLUMNS), outputs };
        match width(to.end - first) {
            NARROW => sweep::<4, { NARROW / 4 }>(panel, bounds, input, inputs, output, to),
            _ => sweep::<2, { COLUMNS / 4 }>(panel, bounds, input, inputs, output, to),
        }
    }
}

/// Which of a pixel's outputs a panel gives.
#[derive(Clone, Copy)]
struct Columns {
    first: usize,
    end: usize,
    outputs: usize,
}

/// One panel over all pixels, `ROWS` at a time.
fn sweep<const ROWS: usize, const VECTORS: usize>(
    panel: &[f32],
    bounds: Bounds,
    input: &[f32],
    inputs: usize,
    output: &mut [f32],
    to: Columns,
) {
    let mut tiles = input.chunks_exact(ROWS * inputs);
    let mut rooms = output.chunks_exact_mut(ROWS * to.outputs);
    for (pixels, room) in (&mut tiles).zip(&mut rooms) {
        let sums = tile::<ROWS, VECTORS>(from_fn(|row| &pixels[row * inputs..][..inputs]), panel);
        for (sums, next) in sums.into_iter().zip(room.chunks_exact_mut(to.outputs)) {
            store(sums, bounds, next, to);
        }
    }
    let rooms = rooms.into_remainder().chunks_exact_mut(to.outputs);
    for (pixel, next) in tiles.remainder().chunks_exact(inputs).zip(rooms) {
        let [sums] = tile::<1, VECTORS>([pixel], panel);
        store(sums, bounds, next, to);
    }
}

/// The sums of `ROWS` pixels over one panel. The tile of the file's head.
#[inline(always)]
fn tile<const ROWS: usize, const VECTORS: usize>(
    pixels: [&[f32]; ROWS],
    panel: &[f32],
) -> [[F32x4; VECTORS]; ROWS] {
    let (panel, _) = panel.as_chunks::<4>();
    let (panel, _) = panel.as_chunks::<VECTORS>();
    let Some((bias, kernel)) = panel.split_first() else { return [[F32x4::splat(0.0); VECTORS]; ROWS] };
    let mut sums = [from_fn(|vector| F32x4::load(&bias[vector])); ROWS];
    let inputs = kernel.len();
    let pixels = pixels.map(|pixel| &pixel[..inputs]);
    let mut step = |input: usize, kernel: &[[[f32; 4]; VECTORS]], pixels: [&[f32]; ROWS]| {
        let kernel: [F32x4; VECTORS] = from_fn(|vector| F32x4::load(&kernel[input][vector]));
        for (sums, pixel) in sums.iter_mut().zip(pixels) {
            let value = F32x4::splat(pixel[input]);
            for (sum, kernel) in sums.iter_mut().zip(kernel) {
                *sum = value.mul_add(kernel, *sum);
            }
        }
    };
    if FUSED {
        for input in 0..inputs {
            step(input, kernel, pixels);
        }
        return sums;
    }
    for first in (0..inputs).step_by(4) {
        let last = inputs.min(first + 4);
        let (kernel, pixels) = (&kernel[first..last], pixels.map(|pixel| &pixel[first..last]));
        step(0, kernel, pixels);
        if kernel.len() < 2 {
            break;
        }
        step(1, kernel, pixels);
        if kernel.len() < 3 {
            break;
        }
        step(2, kernel, pixels);
        if kernel.len() < 4 {
            break;
        }
        step(3, kernel, pixels);
    }
    sums
}

/// What follows the convolution, into the panel's columns of a pixel.
#[inline(always)]
fn store<const VECTORS: usize>(sums: [F32x4; VECTORS], bounds: Bounds, next: &mut [f32], to: Columns) {
    let next = &mut next[to.first..to.end];
    if next.len() == 4 * VECTORS {
        for (sum, next) in sums.into_iter().zip(next.as_chunks_mut::<4>().0) {
            bounds.clamp(sum).store(next);
        }
    } else {
        for (sum, next) in sums.into_iter().zip(next.chunks_mut(4)) {
            next.copy_from_slice(&bounds.clamp(sum).to_array()[..next.len()]);
        }
    }
}
