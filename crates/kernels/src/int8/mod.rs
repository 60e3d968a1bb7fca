//! The kernels in 8-bit integers: weights −127 to 127, activations 0 to 127, exact sums, one rounding at the end.
//!
//! Goes in: bytes, packed weights. Comes out: bytes, the same on every machine and in every build, for integers are
//! exact in any order and the roundings are IEEE's. `reference` defines each layer as naive loops; the others are
//! fast and equal to it. `panel` holds the two ways in which maps lie in memory and the dot products over them.
//! Next: `infer::int8` strings them together.
//!
//! Why seven bits: with the second operand in 0 to 127 the relaxed dot product means the same everywhere, and a pair
//! of products fits 16 bits. Why zero stays zero: every map follows a ReLU, so that no map needs a zero point and
//! padding is a zero byte. The pixels alone are different, and the stem takes them with all their eight bits.

pub mod classifier;
pub mod depthwise;
pub mod panel;
pub mod pointwise;
pub mod pool;
pub mod reference;
pub mod stem;

use crate::simd::I16x8;

/// Channels lie in memory in groups of this many; the last group is filled up with zeros.
pub const GROUP: usize = 8;

/// The largest activation.
pub const LEVELS: i32 = 127;

/// The largest sum, in output steps, that [`pointwise`] and [`stem`] round rightly. Whoever chooses scales keeps
/// them so small that no input reaches it.
pub const LARGEST: f32 = 32_000.0;

/// Channels as stored: the next multiple of [`GROUP`].
pub const fn stored(channels: usize) -> usize {
    channels.next_multiple_of(GROUP)
}

/// Of each output of `kernel` (`[…][outputs]`) the sum of the weights above zero, and of those below.
pub fn reach(kernel: &[i8], outputs: usize) -> Vec<[i32; 2]> {
    /// Rows whose sums 16 bits hold, and of which a thousand bytes apart the first cache holds a line each.
    const ROWS: usize = 32;
    let mut sums = vec![[0; 2]; outputs];
    for rows in kernel.chunks(ROWS * outputs) {
        for (block, sums) in sums.chunks_mut(GROUP).enumerate() {
            let rows = rows.chunks_exact(outputs).map(|row| &row[block * GROUP..]);
            if sums.len() < GROUP {
                for row in rows {
                    for (sum, &weight) in sums.iter_mut().zip(row) {
                        sum[usize::from(weight < 0)] += i32::from(weight);
                    }
                }
                continue;
            }
            let zero = I16x8::splat(0);
            let (mut up, mut down) = (zero, zero);
            for row in rows {
                let weights = I16x8::load_i8(row);
                up = up.add(weights.max(zero));
                down = down.add(weights.min(zero));
            }
            for (half, [up, down]) in
                [[up.widen_low(), down.widen_low()], [up.widen_high(), down.widen_high()]]
                    .into_iter()
                    .enumerate()
            {
                let lanes = up.to_array().into_iter().zip(down.to_array());
                for (sum, (up, down)) in sums[4 * half..].iter_mut().zip(lanes) {
                    sum[0] += up;
                    sum[1] += down;
                }
            }
        }
    }
    sums
}

/// The kernels over this build's own [cells](panel::Fast). A generic function is compiled where it is called, which
/// may be for size; these are compiled here. (What is marked `#[inline]` is compiled where it is called too: nobody waits
/// for it.)
pub mod fast {
    use super::panel::{Fast, abreast};
    use super::{depthwise, pointwise};
    use crate::shape::ConvShape;
    use std::ops::Range;

    /// [`depthwise::forward`].
    pub fn depthwise(
        shape: &ConvShape,
        packed: &depthwise::Packed,
        rows: Range<usize>,
        input: &[u8],
        panel: &mut [Fast],
    ) {
        depthwise::forward(shape, packed, rows, input, panel, abreast());
    }

    /// [`pointwise::pack`].
    pub fn pack_pointwise(kernel: Vec<i8>, bias: &[i32], scale: &[f32]) -> pointwise::Packed {
        pointwise::pack::<Fast>(kernel, bias, scale, abreast())
    }

    /// [`pointwise::unpack`].
    #[inline]
    pub fn unpack_pointwise(packed: &pointwise::Packed, inputs: usize, outputs: usize) -> Vec<i8> {
        pointwise::unpack::<Fast>(packed, inputs, outputs)
    }

    /// [`pointwise::forward`].
    pub fn pointwise(packed: &pointwise::Packed, pixels: usize, panel: &[Fast], output: &mut [u8]) {
        pointwise::forward(packed, pixels, panel, output);
    }
}

#[cfg(test)]
mod tests;
