//! Weighted sums of pixels, the two directions of a resize.
//!
//! Goes in: RGBA bytes row by row, then the sums of columns; weights of both, and where a row of the result lies in the
//! target. Comes out: that row, normalised floats or bytes. Products and sums are plain `f32` in a fixed order, so all
//! builds give the same bits. Next: the network's input.

use crate::kernels::simd::{F32x4, U8x16};

/// A normalisation, laid out as a pixel is: the first and the third colour change places where `swapped`.
#[derive(Clone, Copy, Debug)]
pub struct Colours {
    /// Subtracted from each.
    pub mean: [f32; 4],
    /// Divides the difference.
    pub deviation: [f32; 4],
    /// Whether the target has blue first.
    pub swapped: bool,
}

/// `sums[x] = Σ weights[t] · row t of data`, all four bytes of a pixel alike; a row has `stride` bytes. Four pixels at a
/// time stay in registers over all taps.
pub fn sum_rows(data: &[u8], stride: usize, weights: &[f32], sums: &mut [[f32; 4]]) {
    let (blocks, tail) = sums.as_chunks_mut::<4>();
    for (block, sums) in blocks.iter_mut().enumerate() {
        let mut total = [F32x4::splat(0.0); 4];
        for (tap, &weight) in weights.iter().enumerate() {
            // All results have as many taps as the widest, so the last one is often nothing.
            if weight == 0.0 {
                continue;
            }
            let weight = F32x4::splat(weight);
            let bytes = U8x16::load(&data[tap * stride + block * 16..]);
            let (low, high) = (bytes.widen_low(), bytes.widen_high());
            let pixels = [low.widen_low(), low.widen_high(), high.widen_low(), high.widen_high()];
            for (total, pixel) in total.iter_mut().zip(pixels) {
                *total = total.add(weight.mul(pixel.to_f32()));
            }
        }
        for (total, sum) in total.into_iter().zip(sums) {
            total.store(sum);
        }
    }
    let start = blocks.len() * 16;
    for (offset, sum) in tail.as_flattened_mut().iter_mut().enumerate() {
        let column = data[start + offset..].iter().step_by(stride);
        *sum = weights.iter().zip(column).fold(0.0, |sum, (&weight, &byte)| sum + weight * f32::from(byte));
    }
}

/// One row of the result, `Σ weights[i · taps + t] · sums[first[i] + t]`, normalised: three values at `place.0`, the next
/// three `place.1` values (wrapping, for it may go backwards) further on.
pub fn sum_columns_f32(
    sums: &[[f32; 4]],
    weights: &[f32],
    first: &[u32],
    colours: &Colours,
    place: (usize, usize),
    target: &mut [f32],
) {
    let (mean, deviation) = (F32x4::load(&colours.mean), F32x4::load(&colours.deviation));
    let forwards = place.1 == 3 && !colours.swapped;
    sum_columns(sums, weights, first, place, |colour, at, last| {
        let colour = colour.sub(mean).div(deviation);
        // The fourth value is overwritten by the next pixel.
        if forwards && !last {
            colour.store(&mut target[at..at + 4]);
            return;
        }
        let [red, green, blue, _] = colour.to_array();
        let normal = if colours.swapped { [blue, green, red] } else { [red, green, blue] };
        target[at..at + 3].copy_from_slice(&normal);
    });
}

/// The same as bytes, rounded half up.
pub fn sum_columns_u8(
    sums: &[[f32; 4]],
    weights: &[f32],
    first: &[u32],
    place: (usize, usize),
    target: &mut [u8],
) {
    // Hidden from the compiler, or V8 builds the constant anew for each pixel.
    let half = F32x4::splat(std::hint::black_box(0.5));
    sum_columns(sums, weights, first, place, |colour, at, last| {
        let bytes = to_bytes(colour.add(half));
        if place.1 == 3 && !last {
            bytes.store_four(&mut target[at..at + 4]);
        } else {
            store_three(bytes, &mut target[at..at + 3]);
        }
    });
}

/// Calls `store` with each pixel, its place, and whether it is the row's last.
#[inline(always)]
fn sum_columns(
    sums: &[[f32; 4]],
    weights: &[f32],
    first: &[u32],
    (start, step): (usize, usize),
    mut store: impl FnMut(F32x4, usize, bool),
) {
    let taps = (weights.len() / first.len().max(1)).max(1);
    let (mut at, mut left) = (start, first.len());
    for (weights, &first) in weights.chunks_exact(taps).zip(first) {
        let mut total = F32x4::splat(0.0);
        for (&weight, sum) in weights.iter().zip(&sums[first as usize..]) {
            total = total.add(F32x4::splat(weight).mul(F32x4::load(sum)));
        }
        left -= 1;
        store(total, at, left == 0);
        at = at.wrapping_add(step);
    }
}

/// The colour in bytes, rounded half up.
pub fn store_bytes(colour: F32x4, target: &mut [u8]) {
    store_three(to_bytes(colour.add(F32x4::splat(0.5))), target);
}

/// The largest integers that are not above `raised`. No colour is below 0 or, but for rounding errors, above 255, for
/// weights are not negative and sum to 1.
#[inline(always)]
fn to_bytes(raised: F32x4) -> U8x16 {
    let short = raised.truncate_to_i32();
    let short = short.narrow(short);
    short.narrow_u8(short)
}

#[inline(always)]
fn store_three(bytes: U8x16, target: &mut [u8]) {
    let mut four = [0; 4];
    bytes.store_four(&mut four);
    target.copy_from_slice(&four[..3]);
}
