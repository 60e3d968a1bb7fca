//! Plain floats some at a time, for training: an array of as many as the widest registers hold, which the compiler keeps
//! in one, on the desk as on wasm.

use crate::kernels::simd::FUSED;

/// Channels abreast.
pub const LANES: usize = if cfg!(target_arch = "wasm32") { 4 } else { 8 };

/// `factor · value + addend`, in one rounding where that is one instruction on plain floats (not on wasm, whose fused
/// form exists for vectors alone).
#[inline(always)]
pub fn mul_add(factor: f32, value: f32, addend: f32) -> f32 {
    if FUSED && !cfg!(target_arch = "wasm32") {
        factor.mul_add(value, addend)
    } else {
        factor * value + addend
    }
}

/// `L` values from `at` on.
#[inline(always)]
pub fn lanes<const L: usize>(values: &[f32], at: usize) -> [f32; L] {
    *values[at..].first_chunk::<L>().expect("the caller sized the map")
}

/// Runs the body for every [`LANES`] channels of `$count`, then for every one that is left: `$at` is the first and
/// `$lanes` how many. Slices that are cut to `$count` before need no further checks, and what is read before anything
/// is written needs none for overlaps.
macro_rules! for_lanes {
    ($count:expr, |$at:ident, $lanes:ident| $body:block) => {{
        let mut $at = 0;
        while $at + LANES <= $count {
            const $lanes: usize = LANES;
            $body
            $at += LANES;
        }
        while $at < $count {
            const $lanes: usize = 1;
            $body
            $at += 1;
        }
    }};
}
pub(super) use for_lanes;
