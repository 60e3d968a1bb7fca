//! Resampling: weighted sums of pixels, the vertical and the horizontal pass of a resize.
//!
//! [`sum_rows`] adds weighted rows of RGBA bytes to one row of integers, which is exact but for the rounding of the
//! weights. [`sum_columns_f32`] and [`sum_columns_u8`] reduce that row to the width of the target, in `f32` and in a
//! fixed order, and write normalized floats or bytes. The results are the same bits in every build.

use crate::simd::{F32x4, I16x8, I32x4, U8x16};

/// The sum of the weights of rows.
pub const ONE: i16 = 1 << 14;

/// An input normalization `(color − mean) / deviation`, in the order of RGBA.
#[derive(Clone, Copy, Debug)]
pub struct Colors {
    /// Subtracted from each color.
    pub mean: [f32; 4],
    /// Divides each difference.
    pub deviation: [f32; 4],
    /// Whether the target's order is BGR.
    pub swapped: bool,
}

/// Computes `sums[x] = Σ weights[t] · data[t][x]` over `rows` rows of RGBA pixels, scaled by [`ONE`].
///
/// A row starts every `stride` bytes. Weights come in pairs, the last padded with a zero if `rows` is odd.
///
/// # Panics
///
/// If a row of `data` is shorter than `sums`.
pub fn sum_rows(data: &[u8], stride: usize, rows: usize, weights: &[[i16; 2]], sums: &mut [[i32; 4]]) {
    for (pair, &weights) in weights.iter().enumerate() {
        let first = &data[2 * pair * stride..][..4 * sums.len()];
        // After an odd last row there is none; its weight is zero, so any row will do.
        let second = if 2 * pair + 1 < rows { &data[(2 * pair + 1) * stride..] } else { first };
        if pair == 0 {
            add_rows::<true>(first, second, weights, sums);
        } else if weights != [0; 2] {
            // The result row with the most taps decides the number of pairs; most rows have one less.
            add_rows::<false>(first, second, weights, sums);
        }
    }
}

/// Adds two weighted rows to `sums`, or overwrites `sums` if they are the `FIRST`.
fn add_rows<const FIRST: bool>(first: &[u8], second: &[u8], weights: [i16; 2], sums: &mut [[i32; 4]]) {
    let (fours, tail) = sums.as_chunks_mut::<4>();
    let (blocks, rest) = first.as_chunks::<16>();
    let (other_blocks, other_rest) = second[..first.len()].as_chunks::<16>();
    let factors = I16x8::splat_pair(weights);
    for ((a, b), sums) in blocks.iter().zip(other_blocks).zip(fours) {
        let (a, b) = (U8x16::load(a), U8x16::load(b));
        let (low, high) = (a.interleave_low(b), a.interleave_high(b));
        let pixels = [low.widen_low(), low.widen_high(), high.widen_low(), high.widen_high()];
        for (sum, pixel) in sums.iter_mut().zip(pixels) {
            let before = if FIRST { I32x4::splat(0) } else { I32x4::load(sum) };
            before.dot_i16(pixel, factors).store(sum);
        }
    }
    for ((sum, &a), &b) in tail.as_flattened_mut().iter_mut().zip(rest).zip(other_rest) {
        let before = if FIRST { 0 } else { *sum };
        *sum = before + i32::from(weights[0]) * i32::from(a) + i32::from(weights[1]) * i32::from(b);
    }
}

/// Computes a row of the target, `Σ weights[i · taps + t] · sums[first[i] + t]`, and writes it normalized.
///
/// `place` is (offset of the first pixel in `target`, wrapping distance to the next), so that rows can run in any
/// direction. There are `weights.len() / first.len()` taps per pixel.
///
/// # Panics
///
/// If a pixel lies outside `target`, or a tap outside `sums`.
pub fn sum_columns_f32(
    sums: &[[i32; 4]],
    weights: &[f32],
    first: &[u32],
    colors: &Colors,
    place: (usize, usize),
    target: &mut [f32],
) {
    let (mean, deviation) = (F32x4::load(&colors.mean), F32x4::load(&colors.deviation));
    let forwards = place.1 == 3 && !colors.swapped;
    sum_columns(sums, weights, first, place, |color, at, last| {
        let color = color.sub(mean).div(deviation);
        // The fourth value is overwritten by the next pixel.
        if forwards && !last {
            color.store(&mut target[at..at + 4]);
            return;
        }
        let [red, green, blue, _] = color.to_array();
        let normal = if colors.swapped { [blue, green, red] } else { [red, green, blue] };
        target[at..at + 3].copy_from_slice(&normal);
    });
}

/// Computes a row of the target as [`sum_columns_f32`] does, as bytes without normalization, rounded half up.
pub fn sum_columns_u8(
    sums: &[[i32; 4]],
    weights: &[f32],
    first: &[u32],
    place: (usize, usize),
    target: &mut [u8],
) {
    // `black_box` keeps the constant in a register; V8 would rebuild it for each pixel.
    let half = F32x4::splat(std::hint::black_box(0.5));
    sum_columns(sums, weights, first, place, |color, at, last| {
        let bytes = to_bytes(color.add(half));
        if place.1 == 3 && !last {
            bytes.store_four(&mut target[at..at + 4]);
        } else {
            store_three(bytes, &mut target[at..at + 3]);
        }
    });
}

/// Normalizes a row that needs no resampling, a multiple of four pixels. Overwrites one value beyond the row.
///
/// # Panics
///
/// If `target` is shorter than the row and that value.
pub fn copy_row_f32(row: &[u8], colors: &Colors, target: &mut [f32]) {
    let (mean, deviation) = (F32x4::load(&colors.mean), F32x4::load(&colors.deviation));
    for (block, bytes) in row.as_chunks::<16>().0.iter().enumerate() {
        let bytes = U8x16::load(bytes);
        let (low, high) = (bytes.widen_low(), bytes.widen_high());
        let target = &mut target[12 * block..][..13];
        for (index, pixel) in
            [low.widen_low(), low.widen_high(), high.widen_low(), high.widen_high()].into_iter().enumerate()
        {
            pixel.to_f32().sub(mean).div(deviation).store(&mut target[3 * index..]);
        }
    }
}

/// Copies a row that needs no resampling as [`copy_row_f32`] does, as bytes.
pub fn copy_row_u8(row: &[u8], target: &mut [u8]) {
    for (index, pixel) in row.as_chunks::<4>().0.iter().enumerate() {
        target[3 * index..][..4].copy_from_slice(pixel);
    }
}

/// Calls `store` with each pixel, its offset, and whether it is the row's last.
#[inline(always)]
fn sum_columns(
    sums: &[[i32; 4]],
    weights: &[f32],
    first: &[u32],
    place: (usize, usize),
    store: impl FnMut(F32x4, usize, bool),
) {
    // Constant numbers of taps, up to what shrinking to a third needs, save 20 % of a resize.
    match weights.len() / first.len().max(1) {
        2 => sum_taps(2, sums, weights, first, place, store),
        3 => sum_taps(3, sums, weights, first, place, store),
        4 => sum_taps(4, sums, weights, first, place, store),
        5 => sum_taps(5, sums, weights, first, place, store),
        6 => sum_taps(6, sums, weights, first, place, store),
        taps => sum_taps(taps.max(1), sums, weights, first, place, store),
    }
}

/// Implements [`sum_columns`]; LLVM unrolls the loop over taps where `taps` is a constant.
#[inline(always)]
fn sum_taps(
    taps: usize,
    sums: &[[i32; 4]],
    weights: &[f32],
    first: &[u32],
    (start, step): (usize, usize),
    mut store: impl FnMut(F32x4, usize, bool),
) {
    let (mut at, mut left) = (start, first.len());
    for (weights, &first) in weights.chunks_exact(taps).zip(first) {
        let mut total = F32x4::splat(0.0);
        for (&weight, sum) in weights.iter().zip(&sums[first as usize..][..taps]) {
            total = total.add(F32x4::splat(weight).mul(I32x4::load(sum).to_f32()));
        }
        left -= 1;
        store(total, at, left == 0);
        at = at.wrapping_add(step);
    }
}

/// Writes a color as three bytes, rounded half up.
pub fn store_bytes(color: F32x4, target: &mut [u8]) {
    store_three(to_bytes(color.add(F32x4::splat(0.5))), target);
}

/// Rounds down to bytes. Colors are within 0 to 255 up to rounding errors, because weights are not negative and sum to
/// 1.
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
