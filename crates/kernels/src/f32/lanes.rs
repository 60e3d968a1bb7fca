//! Channels side by side in plain arrays, for the loops of training over whole maps.
//!
//! An array of eight or sixteen floats lets LLVM use the widest vectors of the target and keep a channel's coefficients
//! and sums in registers from pixel to pixel. The inference kernels use [`simd`](crate::simd), whose vectors have four
//! floats; training runs natively first, where vectors are wider.

use crate::simd::FUSED;

/// Computes `factor · value + addend`, with a single rounding where a scalar fused multiply-add is one instruction.
/// WebAssembly has a fused multiply-add for vectors only.
#[inline(always)]
pub fn mul_add(factor: f32, value: f32, addend: f32) -> f32 {
    if FUSED && !cfg!(target_arch = "wasm32") {
        factor.mul_add(value, addend)
    } else {
        factor * value + addend
    }
}

/// Loads `L` values from index `at`.
#[inline(always)]
pub(super) fn lanes<const L: usize>(values: &[f32], at: usize) -> [f32; L] {
    *values[at..].first_chunk().expect("the caller sized the map")
}

/// Runs a function over all channels: `sweep!(channels, 8 1, work(a, b))` calls `work::<8>(channel, a, b)` for the
/// first channel of every whole group of eight, then `work::<1>` for each of the rest.
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
