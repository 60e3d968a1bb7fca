//! Softmax: converts logits to probabilities.
//!
//! The exponential is a polynomial over four lanes, accurate to two units in the last place:
//! `exp(x) = 2ⁿ · exp(r)` with `n = round(x / ln 2)` and `|r| ≤ ln 2 / 2`.

use crate::simd::F32x4;

/// Arguments below give zero: `exp(−87) ≈ 1.6e-38` is about the smallest normal float.
const MIN_ARGUMENT: f32 = -87.0;
/// `ln 2` in two parts: the first has so few bits that `n · LN_2[0]` is exact.
const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
/// Coefficients of `r⁷` down to `r²` in `exp(r)` (the minimax polynomial of Cephes).
const POLYNOMIAL: [f32; 6] = [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5];

/// Computes `exp(x)` for `x` from −87 to 0.
#[inline(always)]
fn exponential(x: F32x4) -> F32x4 {
    let n = x.mul(F32x4::splat(std::f32::consts::LOG2_E)).round_to_i32();
    let whole = n.to_f32();
    let r = x.sub(whole.mul(F32x4::splat(LN_2[0]))).sub(whole.mul(F32x4::splat(LN_2[1])));
    let [first, rest @ ..] = POLYNOMIAL.map(F32x4::splat);
    let polynomial = rest.into_iter().fold(first, |sum, coefficient| sum.mul(r).add(coefficient));
    polynomial.mul(r).mul(r).add(r).add(F32x4::splat(1.0)).mul(n.power_of_two())
}

/// Computes `exp(x − max) / Σ exp(x − max)` and returns `max` and the sum.
///
/// Both slices have the same length.
///
/// # Examples
///
/// ```
/// use mobilenet_kernels::f32::softmax;
///
/// let mut probabilities = [0.0; 2];
/// softmax::forward(&[1.0, 1.0], &mut probabilities);
/// assert_eq!(probabilities, [0.5, 0.5]);
/// ```
pub fn forward(logits: &[f32], probabilities: &mut [f32]) -> (f32, f64) {
    let maximum = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (largest, least) = (F32x4::splat(maximum), F32x4::splat(MIN_ARGUMENT));
    let mut sum = 0.0;
    for (from, to) in logits.chunks(4).zip(probabilities.chunks_mut(4)) {
        // Lanes beyond the end become zero.
        let mut four = [f32::NEG_INFINITY; 4];
        four[..from.len()].copy_from_slice(from);
        let shifted = F32x4::load(&four).sub(largest);
        let powers = exponential(shifted.max(least)).to_array();
        for ((to, power), shifted) in to.iter_mut().zip(powers).zip(shifted.to_array()) {
            *to = if shifted < MIN_ARGUMENT { 0.0 } else { power };
            sum += f64::from(*to);
        }
    }
    let share = (1.0 / sum) as f32;
    for probability in probabilities {
        *probability *= share;
    }
    (maximum, sum)
}
