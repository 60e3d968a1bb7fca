//! Memory layouts of maps, and the dot products over them.
//!
//! A *map* holds bytes in HWC order, each pixel's channels padded to whole groups of eight: the output of a pointwise
//! convolution and the input of a depthwise one.
//!
//! A *panel* is the output of a depthwise convolution and the input of a pointwise one, ordered such that the inner
//! loop reads memory sequentially: a few adjacent pixels (a tile), of each in turn a [run](PanelElement::RUN) of
//! channels, then the next run: `[pixels/tile_pixels][channels/run][pixel 0..tile_pixels][channel 0..run]`. Its
//! elements are bytes if the build multiplies bytes, and 16-bit integers if it would have to widen them first;
//! [`NativeElement`] is the build's.

use super::{GROUP, padded_channels};
use crate::aligned::Aligned;
use crate::simd::{self, I8x16, I16x8, I32x4};
use std::array::from_fn;

/// Pixels of a tile: as many as keep their sums in registers.
pub const TILE_PIXELS_DEFAULT: usize = 4;

/// Pixels of a tile if a dot product of bytes is one instruction: at 5 cycles of latency × 2 ports it needs at least 10
/// accumulators (6 pixels × 2 vectors are 12), and no register for intermediate products.
pub const TILE_PIXELS_NATIVE_DOT: usize = 6;

/// Returns the pixels of a tile in panels of [`NativeElement`] on this machine.
pub fn tile_pixels() -> usize {
    if simd::has_native_dot_i8() { TILE_PIXELS_NATIVE_DOT } else { TILE_PIXELS_DEFAULT }
}

/// Returns the number of elements of a panel of `pixels`; `channels` is [padded](super::padded_channels).
pub const fn len(pixels: usize, channels: usize, tile_pixels: usize) -> usize {
    pixels.next_multiple_of(tile_pixels) * channels
}

/// Returns the offset of the run of channels that starts with `channel` of `pixel`.
#[inline(always)]
pub const fn offset<E: PanelElement>(
    pixel: usize,
    channel: usize,
    channels: usize,
    tile_pixels: usize,
) -> usize {
    (pixel / tile_pixels * channels + channel) * tile_pixels + pixel % tile_pixels * E::RUN
}

/// Returns the activation of one channel of one pixel.
pub fn get<E: PanelElement>(
    panel: &[E],
    pixel: usize,
    channel: usize,
    channels: usize,
    tile_pixels: usize,
) -> u8 {
    let run = channel / E::RUN * E::RUN;
    panel[offset::<E>(pixel, run, channels, tile_pixels) + channel - run].get()
}

/// Sums of one tile: two vectors of four outputs for each row (pixel), in the order of the packing.
pub type Sums<const ROWS: usize> = [[I32x4; 2]; ROWS];

/// The instructions that sum a tile of bytes. The sums are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DotKernel {
    /// Adds four products per lane at once: one instruction on processors that have it (VPDPBUSD, SDOT).
    Quad,
    /// Adds two pairs of products in 16 bits, then widens, for processors without it. Exact if [`fits_pairs`].
    Pair,
}

/// The element of a panel: `u8` or `i16`.
pub trait PanelElement: Copy + Default + PartialEq + std::fmt::Debug + Send + Sync + 'static {
    /// Inputs that one dot product takes per lane.
    const DOT_INPUTS: usize;

    /// Channels of a pixel that are adjacent in a panel.
    const RUN: usize;

    /// Clamps eight lanes to 0 to 127 and writes them as channels of one pixel. `out` starts at the first of them, in a
    /// panel of tiles of `tile_pixels`.
    fn store_clamped(lanes: I16x8, out: &mut [Self], tile_pixels: usize);

    /// Returns the activation, 0 to 127.
    fn get(self) -> u8;

    /// Writes the weights of eight inputs and eight outputs in the order of [`weight_index`]. Each vector of `pairs`
    /// holds two inputs, interleaved.
    fn store_weights(pairs: [I8x16; GROUP / 2], out: &mut [i8]);

    /// Adds the products of `ROWS` pixels and eight outputs over all inputs to `sums`. `panel` holds one tile,
    /// `[channels/run][ROWS][run]`, and `weights` 64 bytes per group of inputs in the order of [`weight_index`].
    fn tile<const ROWS: usize>(
        dot: DotKernel,
        panel: &[Self],
        weights: &[i8],
        sums: Sums<ROWS>,
    ) -> Sums<ROWS>;
}

/// The panel element that this build multiplies fastest: `u8` with relaxed SIMD, else `i16`.
pub type NativeElement = <BuildTarget<{ simd::HAS_RELAXED_DOT_I8 }> as SelectElement>::Element;

/// A panel of this build.
pub type NativePanel = [NativeElement];

/// Selects [`NativeElement`] at compile time; `DOT_I8` is whether the build multiplies bytes.
#[derive(Debug)]
pub struct BuildTarget<const DOT_I8: bool>;

/// Maps a [`BuildTarget`] to its panel element.
pub trait SelectElement {
    /// The panel element.
    type Element: PanelElement;
}

impl SelectElement for BuildTarget<true> {
    type Element = u8;
}

impl SelectElement for BuildTarget<false> {
    type Element = i16;
}

/// Returns the index of the weight of `input` and `output` (each 0 to 7) in the 64 of a group. If `interleaved`, the
/// first vector holds the even outputs instead of the first four.
pub const fn weight_index<E: PanelElement>(input: usize, output: usize, interleaved: bool) -> usize {
    let (half, lane) = lane(output, interleaved);
    ((input / E::DOT_INPUTS * 2 + half) * 4 + lane) * E::DOT_INPUTS + input % E::DOT_INPUTS
}

/// Returns the vector (0 or 1) and the lane that sum an output (0 to 7).
pub const fn lane(output: usize, interleaved: bool) -> (usize, usize) {
    if interleaved { (output % 2, output / 2) } else { (output / 4, output % 4) }
}

/// Packs `kernel` (`[inputs][outputs]`) in blocks of eight outputs, each in groups of eight inputs, 64 bytes per group,
/// padded with zeros. Reuses the memory of `kernel` if its capacity suffices.
///
/// Also returns for each block whether [`fits_pairs`] holds throughout; always true for `i16`, which does not need it.
pub fn pack_weights<E: PanelElement>(
    kernel: Vec<i8>,
    outputs: usize,
    interleaved: bool,
) -> (Aligned<i8>, Vec<bool>) {
    pack_weights_of(E::DOT_INPUTS == 4, kernel, outputs, interleaved)
}

/// Implements [`pack_weights`] for both elements, `bytes` or 16 bits, which differ in a few instructions.
#[inline(never)]
fn pack_weights_of(
    bytes: bool,
    kernel: Vec<i8>,
    outputs: usize,
    interleaved: bool,
) -> (Aligned<i8>, Vec<bool>) {
    let rows = kernel.clone();
    let block = padded_channels(rows.len() / outputs) * GROUP;
    let mut fits = vec![true; padded_channels(outputs) / GROUP];
    let mut weights = Aligned::from_vec(kernel, block * fits.len());
    // Eight rows of all blocks at a time, sequentially: block by block, each cache line would be fetched eight times.
    for (rows, start) in rows.chunks(GROUP * outputs).zip((0..).step_by(GROUP * GROUP)) {
        pack_rows(bytes, rows, outputs, interleaved, &mut weights[start..], block, &mut fits);
    }
    (weights, fits)
}

/// Packs eight rows of the kernel as one group of each block; a block starts every `block` bytes.
#[inline(never)]
fn pack_rows(
    bytes: bool,
    kernel: &[i8],
    outputs: usize,
    interleaved: bool,
    out: &mut [i8],
    block: usize,
    fits: &mut [bool],
) {
    let zero = I16x8::splat(0);
    let limit = (i32::from(i16::MAX) / super::MAX_ACTIVATION) as i16;
    let (highest, lowest) = (I16x8::splat(limit), I16x8::splat(-limit));
    for ((fits, out), first) in fits.iter_mut().zip(out.chunks_mut(block)).zip((0..).step_by(GROUP)) {
        let mut eight = [[0; GROUP]; GROUP];
        for (eight, row) in eight.iter_mut().zip(kernel.chunks_exact(outputs)) {
            let row = &row[first..];
            match row.first_chunk() {
                Some(row) => *eight = *row,
                None => eight[..row.len()].copy_from_slice(row),
            }
        }
        let load = |row| if interleaved { I8x16::load_evens_first(row) } else { I8x16::load_low(row) };
        let pairs = from_fn(|pair| load(&eight[2 * pair]).interleave_low(load(&eight[2 * pair + 1])));
        if !bytes {
            i16::store_weights(pairs, out);
            continue;
        }
        u8::store_weights(pairs, out);
        // The positive and the negative weights that `DotKernel::Pair` adds in one lane.
        for lane in [[0, 1, 4, 5], [2, 3, 6, 7]] {
            let weights = lane.map(|input| I16x8::load_i8(&eight[input]));
            let [up, down] = [weights.map(|weight| weight.max(zero)), weights.map(|weight| weight.min(zero))]
                .map(|[a, b, c, d]| a.add(b).add(c.add(d)));
            *fits &= up.max(highest) == highest && down.min(lowest) == lowest;
        }
    }
}

/// Returns the weight of `input` (of `inputs`) and `output` from packed weights.
pub fn weight<E: PanelElement>(
    packed: &[i8],
    inputs: usize,
    input: usize,
    output: usize,
    interleaved: bool,
) -> i8 {
    let block = output / GROUP * padded_channels(inputs) * GROUP;
    let group = input / GROUP * GROUP * GROUP;
    packed[block + group + weight_index::<E>(input % GROUP, output % GROUP, interleaved)]
}

/// Returns the weights that were packed, `[inputs][outputs]`.
pub fn unpack_weights<E: PanelElement>(
    packed: &[i8],
    inputs: usize,
    outputs: usize,
    interleaved: bool,
) -> Vec<i8> {
    let mut kernel = vec![0; inputs * outputs];
    for (index, value) in kernel.iter_mut().enumerate() {
        *value = weight::<E>(packed, inputs, index / outputs, index % outputs, interleaved);
    }
    kernel
}

/// Returns whether [`DotKernel::Pair`] is exact for eight weights of one output, whatever the inputs: the four products
/// that are added in one 16-bit lane must fit, the positive and the negative ones separately.
pub fn fits_pairs(weights: [i8; GROUP]) -> bool {
    let [a, b, c, d, e, f, g, h] = weights.map(i32::from);
    [[a, b, e, f], [c, d, g, h]].iter().all(|lane| {
        let positive: i32 = lane.iter().map(|weight| weight.max(&0)).sum();
        let negative: i32 = lane.iter().map(|weight| weight.min(&0)).sum();
        positive * super::MAX_ACTIVATION <= 32_767 && negative * super::MAX_ACTIVATION >= -32_768
    })
}

impl PanelElement for u8 {
    const DOT_INPUTS: usize = 4;
    const RUN: usize = 4;

    #[inline(always)]
    fn store_clamped(lanes: I16x8, out: &mut [u8], tile_pixels: usize) {
        let bytes = lanes.narrow_u7(lanes);
        bytes.store_four(out);
        bytes.store_next_four(&mut out[Self::RUN * tile_pixels..]);
    }

    #[inline(always)]
    fn get(self) -> u8 {
        self
    }

    #[inline(always)]
    fn store_weights(pairs: [I8x16; GROUP / 2], out: &mut [i8]) {
        for ([first, second], out) in pairs.as_chunks::<2>().0.iter().zip(out.as_chunks_mut::<32>().0) {
            first.interleave_pairs_low(*second).store(out);
            first.interleave_pairs_high(*second).store(&mut out[16..]);
        }
    }

    #[inline(always)]
    fn tile<const ROWS: usize>(dot: DotKernel, panel: &[u8], weights: &[i8], sums: Sums<ROWS>) -> Sums<ROWS> {
        match dot {
            DotKernel::Quad => quad_tile(panel, weights, sums),
            DotKernel::Pair => pair_tile(panel, weights, sums),
        }
    }
}

#[inline(always)]
fn quad_tile<const ROWS: usize>(panel: &[u8], weights: &[i8], mut sums: Sums<ROWS>) -> Sums<ROWS> {
    let mut fours = panel.as_chunks::<4>().0.as_chunks::<ROWS>().0.iter();
    for weights in weights.as_chunks::<32>().0 {
        let Some(pixels) = fours.next() else { break };
        let (a, b) = (I8x16::load(weights), I8x16::load(&weights[16..]));
        for (pixel, [even, odd]) in pixels.iter().zip(&mut sums) {
            let four = I8x16::splat_four(pixel);
            (*even, *odd) = (even.dot_i8_i7(a, four), odd.dot_i8_i7(b, four));
        }
    }
    sums
}

#[inline(always)]
fn pair_tile<const ROWS: usize>(panel: &[u8], weights: &[i8], mut sums: Sums<ROWS>) -> Sums<ROWS> {
    // `black_box` keeps the constant in a register; V8 would rebuild it in every iteration.
    let ones = I16x8::splat(std::hint::black_box(1));
    let mut eights = panel.as_chunks::<4>().0.as_chunks::<ROWS>().0.as_chunks::<2>().0.iter();
    for weights in weights.as_chunks::<64>().0 {
        let Some([first, second]) = eights.next() else { break };
        let [a, b, c, d] = [0, 16, 32, 48].map(|at| I8x16::load(&weights[at..]));
        for ((first, second), [even, odd]) in first.iter().zip(second).zip(&mut sums) {
            let (first, second) = (I8x16::splat_four(first), I8x16::splat_four(second));
            let sum = |a, c| I16x8::pairs_i8_i7(a, first).add(I16x8::pairs_i8_i7(c, second));
            *even = even.dot_i16(sum(a, c), ones);
            *odd = odd.dot_i16(sum(b, d), ones);
        }
    }
    sums
}

impl PanelElement for i16 {
    const DOT_INPUTS: usize = 2;
    const RUN: usize = GROUP;

    #[inline(always)]
    fn store_clamped(lanes: I16x8, out: &mut [i16], _: usize) {
        lanes.max(I16x8::splat(0)).min(I16x8::splat(super::MAX_ACTIVATION as i16)).store(out);
    }

    #[inline(always)]
    fn get(self) -> u8 {
        self as u8
    }

    #[inline(always)]
    fn store_weights(pairs: [I8x16; GROUP / 2], out: &mut [i8]) {
        for (pair, out) in pairs.iter().zip(out.as_chunks_mut::<16>().0) {
            pair.store(out);
        }
    }

    #[inline(always)]
    fn tile<const ROWS: usize>(
        _: DotKernel,
        panel: &[i16],
        weights: &[i8],
        mut sums: Sums<ROWS>,
    ) -> Sums<ROWS> {
        for (pixels, weights) in panel.chunks_exact(GROUP * ROWS).zip(weights.as_chunks::<64>().0) {
            for pair in 0..GROUP / 2 {
                let a = I16x8::load_i8(&weights[16 * pair..]);
                let b = I16x8::load_i8(&weights[16 * pair + 8..]);
                for (row, [even, odd]) in sums.iter_mut().enumerate() {
                    let two = I16x8::splat_two(&pixels[GROUP * row + 2 * pair..]);
                    *even = even.dot_i16(a, two);
                    *odd = odd.dot_i16(b, two);
                }
            }
        }
        sums
    }
}
