//! The kernels in 8-bit integers: weights −127 to 127, activations 0 to 127, exact sums, one rounding at the end.
//!
//! - [`stem`]: the first 3×3 convolution, over RGB bytes at stride 2;
//! - [`depthwise`]: 3×3, from a map to a panel;
//! - [`pointwise`]: 1×1, from a panel to a map;
//! - [`pool`]: from a map to an embedding in floats;
//! - [`classifier`]: from the embedding to logits in floats;
//! - [`panel`]: the two memory layouts of maps, and the dot products over them;
//! - [`native`]: depthwise and pointwise for the panels of this build;
//! - [`mod@reference`]: every layer as naive loops.
//!
//! Results are the same bits on every machine and in every build: integer sums are exact in any order, and the
//! roundings are those of IEEE 754.
//!
//! Activations have seven bits because the relaxed dot product of WebAssembly gives the same result everywhere only if
//! its second operand is 0 to 127, and because two products then fit 16 bits. There are no zero points: every map
//! follows a ReLU, so that 0 is exact and padding is a zero byte. Only the input image needs an offset; the stem takes
//! it in 8 bits with its mean.
//!
//! # Examples
//!
//! One depthwise-separable block on a 4 × 4 map of 8 channels:
//!
//! ```
//! use mobilenet_kernels::int8::{native, depthwise, padded_channels, panel};
//! use mobilenet_kernels::shape::{ConvShape, FeatureMap, Padding};
//!
//! let shape = ConvShape::window(FeatureMap::new(4, 4, 8), 8, 1, Padding::Same);
//! let depthwise = depthwise::pack(&[10; 9 * 8], &[0; 8], &[3641; 8]); // 3641 / 2¹⁵ ≈ 1 / 9
//! let pointwise = native::pack_pointwise(vec![20; 8 * 16], &[0; 16], &[1.0 / 160.0; 16]);
//!
//! let pixels = shape.output.pixels();
//! let input = vec![5_u8; 4 * 4 * padded_channels(8)];
//! let mut between = vec![panel::NativeElement::default(); panel::len(pixels, 8, panel::tile_pixels())];
//! let mut output = vec![0_u8; pixels * padded_channels(16)];
//! native::depthwise(&shape, &depthwise, 0..4, &input, &mut between);
//! native::pointwise(&pointwise, pixels, &between, &mut output);
//! assert_eq!(output[5 * 16], 50); // the mean of nine 5s, times 10, over eight channels times 20 / 160
//! ```

pub mod classifier;
pub mod depthwise;
pub mod panel;
pub mod pointwise;
pub mod pool;
pub mod reference;
pub mod stem;

use crate::simd::I16x8;

/// Channels are stored in groups of this many; the last group is padded with zeros.
pub const GROUP: usize = 8;

/// The largest activation.
pub const MAX_ACTIVATION: i32 = 127;

/// The largest sum, in steps of the output, that [`pointwise`] and [`stem`] round correctly. Scales must be so small
/// that no input reaches it.
pub const SUM_LIMIT: f32 = 32_000.0;

/// Returns the number of channels as stored: the next multiple of [`GROUP`].
pub const fn padded_channels(channels: usize) -> usize {
    channels.next_multiple_of(GROUP)
}

/// Returns, for each output of `kernel` (`[…][outputs]`), the sum of its positive and of its negative weights. Times
/// the largest activation, these bound the sums of the output.
pub fn weight_sums(kernel: &[i8], outputs: usize) -> Vec<[i32; 2]> {
    /// Rows whose sums fit 16 bits, and of which the first-level cache holds a line each at 1,000 outputs.
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

/// The kernels for the panels of this build ([`NativeElement`](panel::NativeElement)).
///
/// Generic functions are compiled in the crate that calls them, possibly for size. These are compiled in this crate, at
/// its optimization level. Functions marked `#[inline]` are compiled in the caller too; they are off the hot path.
pub mod native {
    use super::panel::{NativeElement, NativePanel, tile_pixels};
    use super::{depthwise, pointwise};
    use crate::shape::ConvShape;
    use std::ops::Range;

    /// Computes a depthwise convolution; see [`depthwise::forward`].
    pub fn depthwise(
        shape: &ConvShape,
        packed: &depthwise::PackedDepthwise,
        rows: Range<usize>,
        input: &[u8],
        panel: &mut NativePanel,
    ) {
        depthwise::forward(shape, packed, rows, input, panel, tile_pixels());
    }

    /// Packs a pointwise convolution; see [`pointwise::pack`].
    pub fn pack_pointwise(kernel: Vec<i8>, bias: &[i32], scale: &[f32]) -> pointwise::PackedPointwise {
        pointwise::pack::<NativeElement>(kernel, bias, scale, tile_pixels())
    }

    /// Returns the kernel that was packed; see [`pointwise::unpack`].
    #[inline]
    pub fn unpack_pointwise(packed: &pointwise::PackedPointwise, inputs: usize, outputs: usize) -> Vec<i8> {
        pointwise::unpack::<NativeElement>(packed, inputs, outputs)
    }

    /// Computes a pointwise convolution; see [`pointwise::forward`].
    pub fn pointwise(
        packed: &pointwise::PackedPointwise,
        pixels: usize,
        panel: &NativePanel,
        output: &mut [u8],
    ) {
        pointwise::forward(packed, pixels, panel, output);
    }
}

#[cfg(test)]
mod tests;
