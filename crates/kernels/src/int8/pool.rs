//! Global average pooling of a map of bytes, to an embedding in floats.

use super::{GROUP, padded_channels};
use crate::simd::{I16x8, I32x4};

/// Pixels whose sums of values up to 127 fit 16 bits.
const FIT: usize = 256;

/// Computes `output[channel] = float(Σ_pixel input) · scale`; the sum is exact.
///
/// `input` has `pixels` pixels of [padded](super::padded_channels) channels, `output` one value per channel.
///
/// # Panics
///
/// If `input` is too short.
///
/// # Examples
///
/// ```
/// use mobilenet_kernels::int8::pool;
///
/// let mut embedding = [0.0; 8];
/// pool::forward(4, &[12; 4 * 8], 0.5 / 4.0, &mut embedding); // a step of 0.5, over four pixels
/// assert_eq!(embedding, [6.0; 8]);
/// ```
pub fn forward(pixels: usize, input: &[u8], scale: f32, output: &mut [f32]) {
    let channels = padded_channels(output.len());
    let input = &input[..pixels * channels];
    for (group, output) in output.chunks_mut(GROUP).enumerate() {
        let (mut low, mut high) = (I32x4::splat(0), I32x4::splat(0));
        for some in input.chunks(FIT * channels) {
            let pixels = some.chunks_exact(channels);
            let sum =
                pixels.fold(I16x8::splat(0), |sum, pixel| sum.add(I16x8::load_u8(&pixel[group * GROUP..])));
            low = low.add(sum.widen_low());
            high = high.add(sum.widen_high());
        }
        let sums = [low.to_array(), high.to_array()];
        for (sum, output) in sums.as_flattened().iter().zip(output) {
            *output = *sum as f32 * scale;
        }
    }
}
