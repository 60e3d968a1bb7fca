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
//! 2. The kernel is packed so that a tile reads it from front to back: `bias[16]`, then one row of 16 per input. A
//!    panel stays in the first cache while all pixels pass it.
//! 3. One step of the loop is one input. Unrolled loops came out slower: LLVM nests two multiply-adds of one sum, so
//!    that the second waits for the first.
//!
//! Next: the following depthwise convolution, or the answers: the classifier is a pointwise with one pixel.

use super::Bounds;
use crate::kernels::simd::F32x4;
use crate::shape::Activation;
use std::array::from_fn;

/// Outputs of a panel.
pub const COLUMNS: usize = 16;
/// Vectors across a panel.
const VECTORS: usize = COLUMNS / 4;

/// A kernel `[inputs, outputs]` and its bias in panels of [`COLUMNS`] outputs, the last filled up with zeros.
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
    let mut panels = vec![0.0; outputs.div_ceil(COLUMNS) * COLUMNS * (inputs + 1)];
    for (panel, first) in panels.chunks_exact_mut(COLUMNS * (inputs + 1)).zip((0..outputs).step_by(COLUMNS)) {
        let columns = first..outputs.min(first + COLUMNS);
        let rows = std::iter::once(bias).chain(kernel.chunks_exact(outputs));
        for (packed, row) in panel.chunks_exact_mut(COLUMNS).zip(rows) {
            packed[..columns.len()].copy_from_slice(&row[columns.clone()]);
        }
    }
    Packed { inputs, outputs, panels }
}

/// Every pixel of `input` (dense rows of `inputs`) into `output` (as many dense rows of `outputs`).
pub fn forward(packed: &Packed, activation: Activation, input: &[f32], output: &mut [f32]) {
    let Packed { inputs, outputs, ref panels } = *packed;
    let bounds = Bounds::of(activation);
    for (panel, first) in panels.chunks_exact(COLUMNS * (inputs + 1)).zip((0..outputs).step_by(COLUMNS)) {
        if outputs - first >= COLUMNS {
            let mut next = output.chunks_mut(2 * outputs);
            for (pixels, next) in input.chunks(2 * inputs).zip(&mut next) {
                columns(panel, bounds, pixels, inputs, next, first, outputs);
            }
        } else {
            for (pixel, next) in input.chunks_exact(inputs).zip(output.chunks_exact_mut(outputs)) {
                let mut whole = [0.0; COLUMNS];
                columns(panel, bounds, pixel, inputs, &mut whole, 0, COLUMNS);
                next[first..].copy_from_slice(&whole[..outputs - first]);
            }
        }
    }
}

/// One panel over one or two pixels.
#[inline(always)]
fn columns(
    panel: &[f32],
    bounds: Bounds,
    pixels: &[f32],
    inputs: usize,
    next: &mut [f32],
    first: usize,
    outputs: usize,
) {
    let (even, odd) = pixels.split_at(inputs);
    if odd.len() == inputs {
        let (next_even, next_odd) = next.split_at_mut(outputs);
        let sums = tile([even, odd], panel);
        store(sums[0], bounds, &mut next_even[first..first + COLUMNS]);
        store(sums[1], bounds, &mut next_odd[first..first + COLUMNS]);
    } else {
        let [sums] = tile([even], panel);
        store(sums, bounds, &mut next[first..first + COLUMNS]);
    }
}

/// The sums of `ROWS` pixels over one panel. The tile of the file's head.
#[inline(always)]
fn tile<const ROWS: usize>(pixels: [&[f32]; ROWS], panel: &[f32]) -> [[F32x4; VECTORS]; ROWS] {
    let (bias, kernel) = panel.split_at(COLUMNS);
    let bias = from_fn(|vector| F32x4::load(&bias[4 * vector..]));
    let mut sums = [bias; ROWS];
    let (kernel, _) = kernel.as_chunks::<COLUMNS>();
    let mut step = |values: [f32; ROWS], kernel: &[f32; COLUMNS]| {
        let kernel: [F32x4; VECTORS] = from_fn(|vector| F32x4::load(&kernel[4 * vector..]));
        for (sums, value) in sums.iter_mut().zip(values) {
            let value = F32x4::splat(value);
            for (sum, kernel) in sums.iter_mut().zip(kernel) {
                *sum = value.mul_add(kernel, *sum);
            }
        }
    };
    // Zipped, so that no index is checked in the loop; `pixels[ROWS - 1]` is `pixels[0]` again for one row.
    for ((&even, &odd), kernel) in pixels[0].iter().zip(pixels[ROWS - 1]).zip(kernel) {
        step(from_fn(|row| if row == 0 { even } else { odd }), kernel);
    }
    sums
}

#[inline(always)]
fn store(sums: [F32x4; VECTORS], bounds: Bounds, next: &mut [f32]) {
    for (sum, next) in sums.into_iter().zip(next.chunks_exact_mut(4)) {
        bounds.clamp(sum).store(next);
    }
}
