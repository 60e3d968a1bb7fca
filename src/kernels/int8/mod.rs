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

#[cfg(test)]
mod tests;
