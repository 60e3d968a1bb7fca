//! Vectors of 128 bits: five types, and the few operations that the kernels are written in.
//!
//! `v128` implements them on WebAssembly with SIMD (and relaxed SIMD if the build has it), `portable` everywhere else:
//! plain arrays that LLVM turns into vector instructions. A kernel is written once over these types and names no
//! instruction set.
//!
//! Only `F32x4::mul_add` may differ between builds: it rounds once if [`FUSED`], else twice. Every other operation,
//! all integers in particular, gives the same bits everywhere.
//!
//! Loads and stores take slices, and panic if a slice is shorter than the lanes that are accessed.
//!
//! # Examples
//!
//! ```
//! use mobilenet_kernels::simd::F32x4;
//!
//! let (a, b) = (F32x4::load(&[1.0, 2.0, 3.0, 4.0]), F32x4::splat(0.5));
//! let mut sums = [0.0; 4];
//! a.mul_add(b, F32x4::splat(1.0)).store(&mut sums);
//! assert_eq!(sums, [1.5, 2.0, 2.5, 3.0]);
//! ```

#![allow(clippy::should_implement_trait)] // `add`, `mul`, `div` are methods, like `mul_add` and `min`

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod v128;

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub use portable::{Column, F32x4, I8x16, I16x8, I32x4, Rounding, U8x16, columns, has_native_dot_i8};
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub use v128::{Column, F32x4, I8x16, I16x8, I32x4, Rounding, U8x16, columns, has_native_dot_i8};

/// Whether `F32x4::mul_add` rounds once: with relaxed SIMD (on every processor of the last ten years), and natively
/// with FMA. If false, a kernel that sums in the reference's order gives the reference's bits.
pub const FUSED: bool = cfg!(any(
    all(target_arch = "wasm32", target_feature = "relaxed-simd"),
    target_feature = "fma",
    target_arch = "aarch64"
));

/// Whether `I32x4::dot_i8_i7` is one instruction of the build's instruction set. If false, widen to [`I16x8`] once
/// and use `I32x4::dot_i16`, which is. Whether it is one instruction of the processor says [`has_native_dot_i8`].
pub const HAS_RELAXED_DOT_I8: bool = cfg!(all(target_arch = "wasm32", target_feature = "relaxed-simd"));

/// `1.5 · 2²³`: adding it to a float of magnitude below 2²² leaves the nearest integer in the low bits.
const MAGIC: f32 = 12_582_912.0;

/// Transposes a 4 × 4 matrix given by its rows.
#[inline(always)]
pub fn transpose(rows: [F32x4; 4]) -> [F32x4; 4] {
    let [a, b, c, d] = rows;
    let (low, high) = (a.interleave_low(c), a.interleave_high(c));
    let (low_odd, high_odd) = (b.interleave_low(d), b.interleave_high(d));
    [
        low.interleave_low(low_odd),
        low.interleave_high(low_odd),
        high.interleave_low(high_odd),
        high.interleave_high(high_odd),
    ]
}

#[cfg(test)]
mod tests;
