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

/// The kernels over this build's own [cells](panel::Fast). A generic function is compiled where it is called, which
/// may be for size; these are compiled here.
pub mod fast {
    use super::{depthwise, panel::Fast, pointwise};
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
        depthwise::forward(shape, packed, rows, input, panel);
    }

    /// [`pointwise::pack`].
    pub fn pack_pointwise(kernel: &[i8], bias: &[i32], scale: &[f32]) -> pointwise::Packed {
        pointwise::pack::<Fast>(kernel, bias, scale)
    }

    /// [`pointwise::forward`].
    pub fn pointwise(packed: &pointwise::Packed, pixels: usize, panel: &[Fast], output: &mut [u8]) {
        pointwise::forward(packed, pixels, panel, output);
    }
}

#[cfg(test)]
mod tests;
