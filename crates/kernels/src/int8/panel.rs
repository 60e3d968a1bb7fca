//! How maps lie in memory, and the dot products over them.
//!
//! A *map* is bytes, HWC, each pixel's channels filled up to whole groups of eight: what a pointwise convolution
//! writes and a depthwise one slides along. A *panel* is what a depthwise convolution writes and a pointwise one
//! reads, so that the inner loop walks straight through memory: some pixels abreast, a [run](Cell::RUN) of channels of
//! each in turn, then the next channels; `[pixels/abreast][channels/run][pixel 0..abreast][channel 0..run]`. Its cells
//! are bytes where the build multiplies bytes, and 16 bits where it would have to widen them first: [`Fast`] is this
//! build's.

use super::{GROUP, stored};
use crate::aligned::Aligned;
use crate::simd::{self, I8x16, I16x8, I32x4};
use std::array::from_fn;

/// Pixels abreast: as many as have their sums in registers.
pub const FEW: usize = 4;

/// The same where a dot product of bytes is one instruction, which takes five cycles and begins twice in each: it takes
/// ten sums or more to keep it busy, and no register for what lies between.
pub const MANY: usize = 6;

/// Pixels abreast in panels of [`Fast`] cells on this machine.
pub fn abreast() -> usize {
    if simd::dot_i8_i7_is_one_instruction() { MANY } else { FEW }
}

/// Cells that a panel of `pixels` takes; `channels` as [stored](super::stored).
pub const fn len(pixels: usize, channels: usize, abreast: usize) -> usize {
    pixels.next_multiple_of(abreast) * channels
}

/// Where the run of channels that begins with `channel` of `pixel` begins.
#[inline(always)]
pub const fn offset<C: Cell>(pixel: usize, channel: usize, channels: usize, abreast: usize) -> usize {
    (pixel / abreast * channels + channel) * abreast + pixel % abreast * C::RUN
}

/// The activation of one channel of one pixel.
pub fn get<C: Cell>(panel: &[C], pixel: usize, channel: usize, channels: usize, abreast: usize) -> u8 {
    let run = channel / C::RUN * C::RUN;
    panel[offset::<C>(pixel, run, channels, abreast) + channel - run].get()
}

/// Sums of one tile: for each row (pixel) the even and the odd four of eight outputs, in whichever order the packing
/// gave them.
pub type Sums<const ROWS: usize> = [[I32x4; 2]; ROWS];

/// By which instructions a tile of bytes is summed; the sums are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Four products a lane at once: one instruction where the processor has it.
    Fours,
    /// Two pairs added in 16 bits, then widened: for processors without it, where [`fits_pairs`] holds.
    Pairs,
}

/// What a panel is made of.
pub trait Cell: Copy + Default + PartialEq + std::fmt::Debug + Send + Sync + 'static {
    /// Inputs that one dot product takes.
    const TAPS: usize;

    /// Channels of a pixel that lie side by side in a panel.
    const RUN: usize;

    /// Clamps eight lanes to 0 to 127 and writes them as channels of a pixel in a panel of `abreast` pixels; `room` begins
    /// with the first.
    fn put(lanes: I16x8, room: &mut [Self], abreast: usize);

    /// The activation.
    fn get(self) -> u8;

    /// Writes eight inputs' weights of eight outputs, of which [`weight_index`] says where each lies; two inputs a vector,
    /// one after the other for each output in the order of their lanes.
    fn put_weights(pairs: [I8x16; GROUP / 2], room: &mut [i8]);

    /// Adds the products of `ROWS` pixels and eight outputs over all inputs. `panel` holds a panel's
    /// `[channels/run][ROWS][run]` cells, `weights` 64 bytes a group as [`weight_index`] says.
    fn tile<const ROWS: usize>(way: Way, panel: &[Self], weights: &[i8], sums: Sums<ROWS>) -> Sums<ROWS>;
}

/// The cell that this build multiplies fastest.
pub type Fast = <Build<{ simd::DOT_I8 }> as Choice>::Cell;

/// Whether the build multiplies bytes.
#[derive(Debug)]
pub struct Build<const BYTES: bool>;

/// From a build to its cell.
pub trait Choice {
    /// The cell.
    type Cell: Cell;
}

impl Choice for Build<true> {
    type Cell = u8;
}

impl Choice for Build<false> {
    type Cell = i16;
}

/// Where the weight of `input` and `output` (each 0 to 7) lies among the 64 of a group; `interleaved` where the
/// first four lanes are the even outputs and not the first four.
pub const fn weight_index<C: Cell>(input: usize, output: usize, interleaved: bool) -> usize {
    let (half, lane) = lane(output, interleaved);
    ((input / C::TAPS * 2 + half) * 4 + lane) * C::TAPS + input % C::TAPS
}

/// In which of the two vectors, and in which of its lanes, an output (0 to 7) is summed.
pub const fn lane(output: usize, interleaved: bool) -> (usize, usize) {
    if interleaved { (output % 2, output / 2) } else { (output / 4, output % 4) }
}

/// The weights of `kernel` (`[inputs][outputs]`) in blocks of eight outputs, each in groups of eight inputs, 64 bytes a group,
/// with zeros where there are no more; in its own memory where that is enough. And for each block whether [`fits_pairs`]
/// holds throughout, which cells of 16 bits do not ask.
pub fn pack_weights<C: Cell>(kernel: Vec<i8>, outputs: usize, interleaved: bool) -> (Aligned<i8>, Vec<bool>) {
    pack_weights_of(C::TAPS == 4, kernel, outputs, interleaved)
}

/// One function for both kinds of cells, `bytes` and not, which differ in a few instructions.
#[inline(never)]
fn pack_weights_of(
    bytes: bool,
    kernel: Vec<i8>,
    outputs: usize,
    interleaved: bool,
) -> (Aligned<i8>, Vec<bool>) {
    let rows = kernel.clone();
    let block = stored(rows.len() / outputs) * GROUP;
    let mut fits = vec![true; stored(outputs) / GROUP];
    let mut weights = Aligned::within(kernel, block * fits.len());
    // Eight rows after the other, as they lie in memory: a block by itself would fetch each line of the cache eight times.
    for (rows, start) in rows.chunks(GROUP * outputs).zip((0..).step_by(GROUP * GROUP)) {
        pack_rows(bytes, rows, outputs, interleaved, &mut weights[start..], block, &mut fits);
    }
    (weights, fits)
}

/// Eight rows of the kernel into one group of each block, of which one begins every `block` bytes.
#[inline(never)]
fn pack_rows(
    bytes: bool,
    kernel: &[i8],
    outputs: usize,
    interleaved: bool,
    room: &mut [i8],
    block: usize,
    fits: &mut [bool],
) {
    let zero = I16x8::splat(0);
    let limit = (i32::from(i16::MAX) / super::LEVELS) as i16;
    let (highest, lowest) = (I16x8::splat(limit), I16x8::splat(-limit));
    for ((fits, room), first) in fits.iter_mut().zip(room.chunks_mut(block)).zip((0..).step_by(GROUP)) {
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
            i16::put_weights(pairs, room);
            continue;
        }
        u8::put_weights(pairs, room);
        // The positive and the negative weights that may meet in a lane.
        for lane in [[0, 1, 4, 5], [2, 3, 6, 7]] {
            let weights = lane.map(|input| I16x8::load_i8(&eight[input]));
            let [up, down] = [weights.map(|weight| weight.max(zero)), weights.map(|weight| weight.min(zero))]
                .map(|[a, b, c, d]| a.add(b).add(c.add(d)));
            *fits &= up.max(highest) == highest && down.min(lowest) == lowest;
        }
    }
}

/// The weight of `input` (of `inputs`) and output `output` among packed blocks of eight outputs.
pub fn weight<C: Cell>(packed: &[i8], inputs: usize, input: usize, output: usize, interleaved: bool) -> i8 {
    let block = output / GROUP * stored(inputs) * GROUP;
    let group = input / GROUP * GROUP * GROUP;
    packed[block + group + weight_index::<C>(input % GROUP, output % GROUP, interleaved)]
}

/// The weights that were packed, `[inputs][outputs]`.
pub fn unpack_weights<C: Cell>(packed: &[i8], inputs: usize, outputs: usize, interleaved: bool) -> Vec<i8> {
    let mut kernel = vec![0; inputs * outputs];
    for (index, value) in kernel.iter_mut().enumerate() {
        *value = weight::<C>(packed, inputs, index / outputs, index % outputs, interleaved);
    }
    kernel
}

/// Whether [`Way::Pairs`] is exact for one group's eight weights of one output, whatever the inputs: the four
/// products that meet in one 16-bit lane must fit there, the positive and the negative ones each by themselves.
pub fn fits_pairs(weights: [i8; GROUP]) -> bool {
    let [a, b, c, d, e, f, g, h] = weights.map(i32::from);
    [[a, b, e, f], [c, d, g, h]].iter().all(|lane| {
        let positive: i32 = lane.iter().map(|weight| weight.max(&0)).sum();
        let negative: i32 = lane.iter().map(|weight| weight.min(&0)).sum();
        positive * super::LEVELS <= 32_767 && negative * super::LEVELS >= -32_768
    })
}

impl Cell for u8 {
    const TAPS: usize = 4;
    const RUN: usize = 4;

    #[inline(always)]
    fn put(lanes: I16x8, room: &mut [u8], abreast: usize) {
        let bytes = lanes.narrow_u7(lanes);
        bytes.store_four(room);
        bytes.store_next_four(&mut room[Self::RUN * abreast..]);
    }

    #[inline(always)]
    fn get(self) -> u8 {
        self
    }

    #[inline(always)]
    fn put_weights(pairs: [I8x16; GROUP / 2], room: &mut [i8]) {
        for ([first, second], room) in pairs.as_chunks::<2>().0.iter().zip(room.as_chunks_mut::<32>().0) {
            first.interleave_pairs_low(*second).store(room);
            first.interleave_pairs_high(*second).store(&mut room[16..]);
        }
    }

    #[inline(always)]
    fn tile<const ROWS: usize>(way: Way, panel: &[u8], weights: &[i8], sums: Sums<ROWS>) -> Sums<ROWS> {
        match way {
            Way::Fours => fours(panel, weights, sums),
            Way::Pairs => pairs(panel, weights, sums),
        }
    }
}

#[inline(always)]
fn fours<const ROWS: usize>(panel: &[u8], weights: &[i8], mut sums: Sums<ROWS>) -> Sums<ROWS> {
    let mut fours = panel.as_chunks::<4>().0.as_chunks::<ROWS>().0.iter();
    for weights in weights.as_chunks::<32>().0 {
        let Some(cells) = fours.next() else { break };
        let (a, b) = (I8x16::load(weights), I8x16::load(&weights[16..]));
        for (cells, [even, odd]) in cells.iter().zip(&mut sums) {
            let four = I8x16::splat_four(cells);
            (*even, *odd) = (even.dot_i8_i7(a, four), odd.dot_i8_i7(b, four));
        }
    }
    sums
}

#[inline(always)]
fn pairs<const ROWS: usize>(panel: &[u8], weights: &[i8], mut sums: Sums<ROWS>) -> Sums<ROWS> {
    // Hidden from the compiler, or V8 builds the constant anew in every round of the loop.
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

impl Cell for i16 {
    const TAPS: usize = 2;
    const RUN: usize = GROUP;

    #[inline(always)]
    fn put(lanes: I16x8, room: &mut [i16], _: usize) {
        lanes.max(I16x8::splat(0)).min(I16x8::splat(super::LEVELS as i16)).store(room);
    }

    #[inline(always)]
    fn get(self) -> u8 {
        self as u8
    }

    #[inline(always)]
    fn put_weights(pairs: [I8x16; GROUP / 2], room: &mut [i8]) {
        for (pair, room) in pairs.iter().zip(room.as_chunks_mut::<16>().0) {
            pair.store(room);
        }
    }

    #[inline(always)]
    fn tile<const ROWS: usize>(_: Way, panel: &[i16], weights: &[i8], mut sums: Sums<ROWS>) -> Sums<ROWS> {
        for (cells, weights) in panel.chunks_exact(GROUP * ROWS).zip(weights.as_chunks::<64>().0) {
            for pair in 0..GROUP / 2 {
                let a = I16x8::load_i8(&weights[16 * pair..]);
                let b = I16x8::load_i8(&weights[16 * pair + 8..]);
                for (row, [even, odd]) in sums.iter_mut().enumerate() {
                    let two = I16x8::splat_two(&cells[GROUP * row + 2 * pair..]);
                    *even = even.dot_i16(a, two);
                    *odd = odd.dot_i16(b, two);
                }
            }
        }
        sums
    }
}
