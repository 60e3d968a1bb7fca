//! Channels side by side in plain arrays, which the compiler keeps in the widest vectors it has: what training's loops
//! over maps are made of, so that a channel's coefficients and sums stay in registers from pixel to pixel.
//!
//! Inference has its kernels over `simd`; these run natively first, where vectors are wider than its four.

use crate::simd::FUSED;

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

/// The `L` values from `at` on.
#[inline(always)]
pub(super) fn lanes<const L: usize>(values: &[f32], at: usize) -> [f32; L] {
    *values[at..].first_chunk().expect("the caller sized the map")
}

/// `sweep!(channels, 8 1, work(a, b))` calls `work::<8>(channel, a, b)` for the first channel of every eight, and
/// `work::<1>` for each of the rest.
macro_rules! sweep {
    (@ $work:ident, $lanes:literal, $channel:ident, ($($argument:expr),*)) => {
        $work::<$lanes>($channel, $($argument),*)
    };
    ($channels:expr, $($lanes:literal)+, $work:ident $arguments:tt) => {{
        let mut channel = 0;
        $(while $channels - channel >= $lanes {
            sweep!(@ $work, $lanes, channel, $arguments);
            channel += $lanes;
        })+
    }};
}
pub(super) use sweep;
