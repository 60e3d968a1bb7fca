//! Softmax: logits become probabilities.
//!
//! Goes in: logits. Comes out: numbers of 0 to 1 that sum to 1. The exponential is a polynomial over four lanes, right
//! to two units in the last place: `exp(x) = 2ⁿ · exp(r)` with `n = round(x / ln 2)` and `|r| ≤ ln 2 / 2`.
//! Next: whoever asked.

use crate::simd::F32x4;

/// Below it the exponential counts as zero: `exp(−87) ≈ 1.6e-38`, the edge of the normal floats.
const LEAST: f32 = -87.0;
/// `ln 2` in two parts: the first has so few bits that `n · LN_2[0]` is exact.
const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
/// `exp(r)`, coefficients of `r⁶` down to `r²` (Cephes' minimax polynomial).
const POLYNOMIAL: [f32; 6] = [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5];

/// `exp(x)` for `x` of −87 to 0.
#[inline(always)]
fn exponential(x: F32x4) -> F32x4 {
    let n = x.mul(F32x4::splat(std::f32::consts::LOG2_E)).round_to_i32();
    let whole = n.to_f32();
    let r = x.sub(whole.mul(F32x4::splat(LN_2[0]))).sub(whole.mul(F32x4::splat(LN_2[1])));
    let [first, rest @ ..] = POLYNOMIAL.map(F32x4::splat);
    let polynomial = rest.into_iter().fold(first, |sum, coefficient| sum.mul(r).add(coefficient));
    polynomial.mul(r).mul(r).add(r).add(F32x4::splat(1.0)).mul(n.power_of_two())
}

/// `exp(x − max) / Σ exp(x − max)`. Both slices have the same length. Gives the maximum and the sum.
pub fn forward(logits: &[f32], probabilities: &mut [f32]) -> (f32, f64) {
    let maximum = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (largest, least) = (F32x4::splat(maximum), F32x4::splat(LEAST));
    let mut sum = 0.0;
    for (from, to) in logits.chunks(4).zip(probabilities.chunks_mut(4)) {
        // Lanes beyond the end hold what becomes zero.
        let mut four = [f32::NEG_INFINITY; 4];
        four[..from.len()].copy_from_slice(from);
        let shifted = F32x4::load(&four).sub(largest);
        let powers = exponential(shifted.max(least)).to_array();
        for ((to, power), shifted) in to.iter_mut().zip(powers).zip(shifted.to_array()) {
            *to = if shifted < LEAST { 0.0 } else { power };
            sum += f64::from(*to);
        }
    }
    let share = (1.0 / sum) as f32;
    for probability in probabilities {
        *probability *= share;
    }
    (maximum, sum)
}
