//! The 1×1 convolution in 8-bit integers: nine tenths of a MobileNet's arithmetic.
//!
//! The input is a [panel], as a depthwise convolution writes it, the output a map. As naive loops
//! ([`reference::pointwise`](super::reference::pointwise)):
//!
//! ```text
//! for pixel, output:
//!     sum = bias[output] + Σ_input panel[pixel][input] · kernel[input][output]      (exact)
//!     map[pixel][output] = clamp(round(float(sum) · scale[output]), 0, 127)
//! ```
//!
//! A tile is [six or four](panel::tile_pixels) pixels × eight outputs. Its sums stay in registers; the remaining ones
//! (x86 has 16) hold two vectors of weights and one of activations. The weights of eight outputs, at most 8 KB, stay in
//! the first-level cache while all pixels of the call pass them.

use super::panel::{self, DotKernel, PanelElement, Sums, TILE_PIXELS_DEFAULT, TILE_PIXELS_NATIVE_DOT};
use super::{GROUP, padded_channels};
use crate::aligned::Aligned;
use crate::simd::{F32x4, I32x4, Rounding};
use std::hint::black_box;

/// A kernel `[inputs][outputs]` with bias and scale, packed for [`forward`].
#[derive(Clone, Debug)]
pub struct PackedPointwise {
    inputs: usize,
    outputs: usize,
    tile_pixels: usize,
    weights: Aligned<i8>,
    blocks: Vec<Block>,
}

/// Bias and scale of eight outputs, the even ones first, and the dot product for their weights.
#[derive(Clone, Debug)]
struct Block {
    bias: [[i32; 4]; 2],
    scale: [[f32; 4]; 2],
    dot: DotKernel,
}

impl PackedPointwise {
    /// Returns the size in bytes.
    pub fn bytes(&self) -> usize {
        self.weights.len() + self.blocks.len() * size_of::<Block>()
    }
}

/// Packs `kernel` (`[inputs][outputs]`), `bias` (in units of a sum) and `scale` (steps of the output per unit of a
/// sum).
///
/// `tile_pixels` is that of the panels to come: [`TILE_PIXELS_DEFAULT`] or, for bytes, [`TILE_PIXELS_NATIVE_DOT`]. No
/// sum that inputs from 0 to 127 can give may reach [`SUM_LIMIT`](super::SUM_LIMIT) steps. The memory of `kernel` is
/// reused if its capacity suffices (see [`zeros`](crate::aligned::zeros)).
///
/// # Panics
///
/// If there are no outputs, or `scale` is shorter than `bias`.
pub fn pack<E: PanelElement>(
    kernel: Vec<i8>,
    bias: &[i32],
    scale: &[f32],
    tile_pixels: usize,
) -> PackedPointwise {
    let outputs = bias.len();
    let inputs = kernel.len() / outputs;
    let (weights, fits) = panel::pack_weights::<E>(kernel, outputs, true);
    let pack_block = |(block, fits): (usize, bool)| {
        let first = block * GROUP;
        let mut packed = Block { bias: [[0; 4]; 2], scale: [[0.0; 4]; 2], dot: DotKernel::Pair };
        for output in first..outputs.min(first + GROUP) {
            let (half, lane) = panel::lane(output - first, true);
            packed.bias[half][lane] = bias[output];
            packed.scale[half][lane] = scale[output];
        }
        if tile_pixels == TILE_PIXELS_NATIVE_DOT || !fits {
            packed.dot = DotKernel::Quad;
        }
        packed
    };
    let blocks = fits.into_iter().enumerate().map(pack_block).collect();
    PackedPointwise {
        inputs: padded_channels(inputs),
        outputs: padded_channels(outputs),
        tile_pixels,
        weights,
        blocks,
    }
}

/// Returns the kernel that was packed, `[inputs][outputs]`.
pub fn unpack<E: PanelElement>(packed: &PackedPointwise, inputs: usize, outputs: usize) -> Vec<i8> {
    panel::unpack_weights::<E>(&packed.weights, inputs, outputs, true)
}

/// Computes `pixels` pixels of a map from a panel.
///
/// `panel` has [`panel::len`]`(pixels, inputs, tile_pixels)` elements, with [padded](super::padded_channels) inputs; a
/// last tile's elements beyond `pixels` are ignored. `output` receives `pixels` × padded outputs, dense, from 0 to 127.
///
/// # Panics
///
/// If `panel` or `output` is too short.
///
/// # Examples
///
/// ```
/// use mobilenet_kernels::int8::{panel, pointwise};
///
/// // Four pixels of eight channels, all 3; each of eight outputs sums them, times 10.
/// let packed = pointwise::pack::<i16>(vec![10; 8 * 8], &[0; 8], &[0.25; 8], panel::TILE_PIXELS_DEFAULT);
/// let mut output = [0; 4 * 8];
/// pointwise::forward(&packed, 4, &[3_i16; 4 * 8], &mut output);
/// assert_eq!(output, [60; 4 * 8]);
/// ```
pub fn forward<E: PanelElement>(packed: &PackedPointwise, pixels: usize, panel: &[E], output: &mut [u8]) {
    let PackedPointwise { inputs, outputs, tile_pixels, .. } = *packed;
    let panel = &panel[..panel::len(pixels, inputs, tile_pixels)];
    let output = &mut output[..pixels * outputs];
    let blocks = packed.weights.chunks_exact(inputs * GROUP).zip(&packed.blocks);
    for (index, (weights, block)) in blocks.enumerate() {
        let output = &mut output[index * GROUP..];
        match block.dot {
            DotKernel::Quad if E::DOT_INPUTS == 4 && tile_pixels == TILE_PIXELS_NATIVE_DOT => {
                columns::<E, TILE_PIXELS_NATIVE_DOT, false>(weights, block, inputs, outputs, panel, output);
            }
            DotKernel::Pair if E::DOT_INPUTS == 4 => {
                columns::<E, TILE_PIXELS_DEFAULT, true>(weights, block, inputs, outputs, panel, output);
            }
            _ => columns::<E, TILE_PIXELS_DEFAULT, false>(weights, block, inputs, outputs, panel, output),
        }
    }
}

/// Computes eight outputs of every pixel. `output` starts at the first of them in the first pixel.
fn columns<E: PanelElement, const ROWS: usize, const PAIRS: bool>(
    weights: &[i8],
    block: &Block,
    inputs: usize,
    outputs: usize,
    panel: &[E],
    output: &mut [u8],
) {
    let dot = if PAIRS { DotKernel::Pair } else { DotKernel::Quad };
    let tiles = panel.chunks_exact(ROWS * inputs).zip(output.chunks_mut(ROWS * outputs));
    for (pixels, output) in tiles {
        // `black_box` keeps LLVM from hoisting the loads of bias and scale out of the loop over tiles, where they would
        // take registers of the inner loop: V8 spilled sums, which cost 40 % of the kernel's time.
        let bias = black_box(&block.bias);
        let bias = [I32x4::load(&bias[0]), I32x4::load(&bias[1])];
        let sums = E::tile::<ROWS>(dot, pixels, weights, [bias; ROWS]);
        let scale = black_box(&block.scale);
        let scale = [F32x4::load(&scale[0]), F32x4::load(&scale[1])];
        store(sums, scale, Rounding::new(), outputs, output);
    }
}

/// Requantizes eight outputs of an even number of pixels, and writes the pixels that `output` has.
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
        if let Some(pixel) = output.get_mut(first..first + GROUP) {
            bytes.store_low(pixel);
        }
        if let Some(pixel) = output.get_mut(first + outputs..first + outputs + GROUP) {
            bytes.store_high(pixel);
        }
    }
}
