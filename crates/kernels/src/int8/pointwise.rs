//! The 1×1 convolution in 8-bit integers: nine tenths of a MobileNet's arithmetic.
//!
//! Goes in: a panel, as a depthwise convolution wrote it. Comes out: a map. As naive loops
//! ([`reference::pointwise`](super::reference::pointwise)):
//!
//! ```text
//! for pixel, output:
//!     sum = bias[output] + Σ_input panel[pixel][input] · kernel[input][output]      (exact)
//!     map[pixel][output] = clamp(round(float(sum) · scale[output]), 0, 127)
//! ```
//!
//! The fast loop takes [six or four](panel::abreast) pixels by eight outputs: their sums stay in registers, and what is
//! left over (16 are all there are on x86) holds two vectors of weights and one of activations. The block's weights, at
//! most 8 KB, stay in the first-level cache while all pixels of the call pass by.

use super::panel::{self, Cell, FEW, MANY, Sums, Way};
use super::{GROUP, stored};
use crate::aligned::Aligned;
use crate::simd::{F32x4, I32x4, Rounding};
use std::hint::black_box;

/// Weights as [`forward`] reads them.
#[derive(Clone, Debug)]
pub struct Packed {
    inputs: usize,
    outputs: usize,
    abreast: usize,
    weights: Aligned<i8>,
    blocks: Vec<Block>,
}

/// What eight outputs need besides weights, even ones first.
#[derive(Clone, Debug)]
struct Block {
    bias: [[i32; 4]; 2],
    scale: [[f32; 4]; 2],
    way: Way,
}

impl Packed {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.weights.len() + self.blocks.len() * size_of::<Block>()
    }
}

/// Packs `kernel` (`[inputs][outputs]`), in its own memory where that is enough (see
/// [`zeros`](crate::aligned::zeros)), `bias` (in units of a sum) and `scale` (output steps in a unit of a sum).
/// No sum that the inputs 0 to 127 can give may reach [`LARGEST`](super::LARGEST) steps. `abreast` is that of the panels
/// to come, [`FEW`] or, of bytes, [`MANY`].
pub fn pack<C: Cell>(kernel: Vec<i8>, bias: &[i32], scale: &[f32], abreast: usize) -> Packed {
    let outputs = bias.len();
    let inputs = kernel.len() / outputs;
    let (weights, fits) = panel::pack_weights::<C>(kernel, outputs, true);
    let pack_block = |(block, fits): (usize, bool)| {
        let first = block * GROUP;
        let mut packed = Block { bias: [[0; 4]; 2], scale: [[0.0; 4]; 2], way: Way::Pairs };
        for output in first..outputs.min(first + GROUP) {
            let (half, lane) = panel::lane(output - first, true);
            packed.bias[half][lane] = bias[output];
            packed.scale[half][lane] = scale[output];
        }
        if abreast == MANY || !fits {
            packed.way = Way::Fours;
        }
        packed
    };
    let blocks = fits.into_iter().enumerate().map(pack_block).collect();
    Packed { inputs: stored(inputs), outputs: stored(outputs), abreast, weights, blocks }
}

/// The kernel that was packed, `[inputs][outputs]`.
pub fn unpack<C: Cell>(packed: &Packed, inputs: usize, outputs: usize) -> Vec<i8> {
    panel::unpack_weights::<C>(&packed.weights, inputs, outputs, true)
}

/// Writes `pixels` pixels of [stored] outputs each. `panel` has room for
/// [`panel::len`]`(pixels, inputs, abreast)`; what lies there beyond `pixels` is read and thrown away.
pub fn forward<C: Cell>(packed: &Packed, pixels: usize, panel: &[C], output: &mut [u8]) {
    let Packed { inputs, outputs, abreast, .. } = *packed;
    let panel = &panel[..panel::len(pixels, inputs, abreast)];
    let output = &mut output[..pixels * outputs];
    let blocks = packed.weights.chunks_exact(inputs * GROUP).zip(&packed.blocks);
    for (index, (weights, block)) in blocks.enumerate() {
        let output = &mut output[index * GROUP..];
        match block.way {
            Way::Fours if C::TAPS == 4 && abreast == MANY => {
                columns::<C, MANY, false>(weights, block, inputs, outputs, panel, output);
            }
            Way::Pairs if C::TAPS == 4 => {
                columns::<C, FEW, true>(weights, block, inputs, outputs, panel, output);
            }
            _ => columns::<C, FEW, false>(weights, block, inputs, outputs, panel, output),
        }
    }
}

/// Eight outputs of every pixel. `output` starts at the first pixel's first of them.
fn columns<C: Cell, const ROWS: usize, const PAIRS: bool>(
    weights: &[i8],
    block: &Block,
    inputs: usize,
    outputs: usize,
    panel: &[C],
    output: &mut [u8],
) {
    let way = if PAIRS { Way::Pairs } else { Way::Fours };
    let tiles = panel.chunks_exact(ROWS * inputs).zip(output.chunks_mut(ROWS * outputs));
    for (cells, output) in tiles {
        // What is not a sum is loaded for each tile, and the compiler is kept from doing it once: over the loop within, it
        // would take the registers of sums.
        let bias = black_box(&block.bias);
        let bias = [I32x4::load(&bias[0]), I32x4::load(&bias[1])];
        let sums = C::tile::<ROWS>(way, cells, weights, [bias; ROWS]);
        let scale = black_box(&block.scale);
        let scale = [F32x4::load(&scale[0]), F32x4::load(&scale[1])];
        store(sums, scale, Rounding::new(), outputs, output);
    }
}

/// Requantises some pixels (an even number) by eight outputs and writes those pixels that `output` still has room for.
#[inline(always)]
pub(super) fn store<const ROWS: usize>(
    sums: Sums<ROWS>,
    scale: [F32x4; 2],
    rounding: Rounding,
    outputs: usize,
    output: &mut [u8],
) {
    let shorts =
        sums.map(|[even, odd]| rounding.interleave(even.to_f32().mul(scale[0]), odd.to_f32().mul(scale[1])));
    for (pair, [a, b]) in shorts.as_chunks::<2>().0.iter().enumerate() {
        let bytes = a.narrow_u7(*b);
        let first = 2 * pair * outputs;
        if let Some(room) = output.get_mut(first..first + GROUP) {
            bytes.store_low(room);
        }
        if let Some(room) = output.get_mut(first + outputs..first + outputs + GROUP) {
            bytes.store_high(room);
        }
    }
}
