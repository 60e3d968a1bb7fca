//! The global average over a map of bytes.
//!
//! Goes in: the last map. Comes out: the embedding, in floats: one rounding, at the end.

use super::{GROUP, stored};
use crate::simd::{I16x8, I32x4};

/// Pixels whose sum of values up to 127 fits 16 bits.
const FIT: usize = 256;

/// `output[channel] = float(Σ_pixel input) · scale`, exact before the product. `input` has `pixels` pixels of
/// [stored] channels; `output` one value a channel.
pub fn forward(pixels: usize, input: &[u8], scale: f32, output: &mut [f32]) {
    let channels = stored(output.len());
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
