//! The vector vocabulary: 128 bits, five types, the few operations that the kernels are written in.
//!
//! Goes in: slices. Comes out: slices. `v128` is the body on wasm with SIMD (with relaxed SIMD where the build has
//! it), `portable` the body everywhere else: plain arrays that LLVM turns into vectors. A kernel is written once over
//! these names and knows no instruction set.
//!
//! One operation alone may differ from build to build: [`F32x4::mul_add`], which rounds once where [`FUSED`] is
//! true and twice where it is not. Everything else, all the integers above all, gives the same bits everywhere.

#![allow(clippy::should_implement_trait)] // `add`, `mul`, `div` stand beside `mul_add` and `min` as methods

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod v128;

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub use portable::{
    Column, F32x4, I8x16, I16x8, I32x4, Rounding, U8x16, columns, dot_i8_i7_is_one_instruction,
};
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub use v128::{Column, F32x4, I8x16, I16x8, I32x4, Rounding, U8x16, columns, dot_i8_i7_is_one_instruction};

/// Whether [`F32x4::mul_add`] rounds once (relaxed SIMD on every processor of the last ten years, native builds with
/// FMA). Where it is false, a kernel that sums in the reference's order gives the reference's bits.
pub const FUSED: bool = cfg!(any(
    all(target_arch = "wasm32", target_feature = "relaxed-simd"),
    target_feature = "fma",
    target_arch = "aarch64"
));

/// Whether [`I32x4::dot_i8_i7`] is one instruction; where it is false, widen to [`I16x8`] once and use
/// [`I32x4::dot_i16`], which is.
pub const DOT_I8: bool = cfg!(all(target_arch = "wasm32", target_feature = "relaxed-simd"));

/// `1.5 · 2²³`: adding it to a float of less than 2²² in size leaves the nearest integer in the low bits.
const MAGIC: f32 = 12_582_912.0;

/// Four vectors as rows of a matrix, turned into its columns.
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
