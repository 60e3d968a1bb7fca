//! Operations of the vector types in registers. All of their intrinsics are safe.

use super::super::MAGIC;
use super::{F32x4, I8x16, I16x8, I32x4, U8x16};
use core::arch::wasm32::*;

/// Defines operations that are one instruction on one or two vectors.
macro_rules! instructions {
    ($type:ident, $($(#[$doc:meta])* $name:ident($($other:ident)?) -> $result:ident = $instruction:expr;)*) => {
        impl $type {
            $(
                $(#[$doc])*
                #[inline(always)]
                pub fn $name(self $(, $other: Self)?) -> $result {
                    $result($instruction(self.0 $(, $other.0)?))
                }
            )*
        }
    };
}

instructions! {
    F32x4,
    /// Computes `self + other`.
    add(other) -> F32x4 = f32x4_add;
    /// Computes `self − other`.
    sub(other) -> F32x4 = f32x4_sub;
    /// Computes `self · other`.
    mul(other) -> F32x4 = f32x4_mul;
    /// Computes `self / other`.
    div(other) -> F32x4 = f32x4_div;
    /// Computes the minimum, `other < self ? other : self`: a NaN in `other` is ignored.
    min(other) -> F32x4 = f32x4_pmin;
    /// Computes the maximum, `self < other ? other : self`: a NaN in `other` is ignored.
    max(other) -> F32x4 = f32x4_pmax;
    /// Computes the square root.
    sqrt() -> F32x4 = f32x4_sqrt;
    /// Interleaves the lower halves: lanes `0 0' 1 1'`.
    interleave_low(other) -> F32x4 = i32x4_shuffle::<0, 4, 1, 5>;
    /// Interleaves the upper halves: lanes `2 2' 3 3'`.
    interleave_high(other) -> F32x4 = i32x4_shuffle::<2, 6, 3, 7>;
}

impl F32x4 {
    /// Computes `self · factor + addend`, rounded once if [`FUSED`](crate::simd::FUSED), else twice.
    #[inline(always)]
    pub fn mul_add(self, factor: Self, addend: Self) -> Self {
        #[cfg(target_feature = "relaxed-simd")]
        return Self(f32x4_relaxed_madd(self.0, factor.0, addend.0));
        #[cfg(not(target_feature = "relaxed-simd"))]
        return self.mul(factor).add(addend);
    }

    /// Sums the four lanes, `(0 + 1) + (2 + 3)`.
    #[inline(always)]
    pub fn sum(self) -> f32 {
        let [a, b, c, d] = self.to_array();
        (a + b) + (c + d)
    }

    /// Rounds to the nearest integers, halves to even. Magnitudes must be below 2²².
    #[inline(always)]
    pub fn round_to_i32(self) -> I32x4 {
        I32x4(i32x4_sub(f32x4_add(self.0, f32x4_splat(MAGIC)), i32x4_splat(MAGIC.to_bits() as i32)))
    }

    /// Rounds towards zero. Magnitudes must be below 2³¹.
    #[inline(always)]
    pub fn truncate_to_i32(self) -> I32x4 {
        #[cfg(target_feature = "relaxed-simd")]
        return I32x4(i32x4_relaxed_trunc_f32x4(self.0));
        #[cfg(not(target_feature = "relaxed-simd"))]
        I32x4(i32x4_trunc_sat_f32x4(self.0))
    }
}

/// Rounds two vectors of floats to one of 16-bit integers. Keeps its constant in a register, because V8 rebuilds one
/// wherever it is used.
#[derive(Clone, Copy, Debug)]
pub struct Rounding(v128);

impl Rounding {
    /// Creates the constants, once before a loop.
    #[inline(always)]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(f32x4_splat(std::hint::black_box(MAGIC)))
    }

    /// Rounds both to the nearest 16-bit integers, halves to even: `even` to the even lanes, `odd` to the odd ones.
    /// Values outside of −32768 to 32767 wrap, up to a magnitude of 2²².
    #[inline(always)]
    pub fn interleave(self, even: F32x4, odd: F32x4) -> I16x8 {
        // The low 16 bits of the magic number are zero, so that the low half of each lane is the integer already. (A
        // narrowing instruction needs a subtraction first, and LLVM 22 turns the pair into six instructions.)
        let odd = i32x4_shl(f32x4_add(odd.0, self.0), 16);
        I16x8(i16x8_shuffle::<0, 9, 2, 11, 4, 13, 6, 15>(f32x4_add(even.0, self.0), odd))
    }
}

instructions! {
    I32x4,
    /// Computes `self + other`, wrapping.
    add(other) -> I32x4 = i32x4_add;
    /// Computes `self − other`, wrapping.
    sub(other) -> I32x4 = i32x4_sub;
    /// Computes `self · other`, wrapping.
    mul(other) -> I32x4 = i32x4_mul;
    /// Computes the minimum.
    min(other) -> I32x4 = i32x4_min;
    /// Computes the maximum.
    max(other) -> I32x4 = i32x4_max;
    /// Converts to the nearest floats.
    to_f32() -> F32x4 = f32x4_convert_i32x4;
    /// Narrows to eight 16-bit lanes with saturation, `self` first.
    narrow(high) -> I16x8 = i16x8_narrow_i32x4;
}

impl I32x4 {
    /// Computes `2ⁿ` for `n` from −126 to 127.
    #[inline(always)]
    pub fn power_of_two(self) -> F32x4 {
        F32x4(i32x4_shl(i32x4_add(self.0, i32x4_splat(127)), 23))
    }

    /// Computes `self + a₂ⱼ·b₂ⱼ + a₂ⱼ₊₁·b₂ⱼ₊₁` in lane `j`, a dot product of pairs.
    #[inline(always)]
    pub fn dot_i16(self, a: I16x8, b: I16x8) -> Self {
        Self(i32x4_add(self.0, i32x4_dot_i16x8(a.0, b.0)))
    }

    /// Computes `self + Σ aᵢ·bᵢ` over the four bytes of lane `j`. `b` must be 0 to 127; then every processor and build
    /// gives the same bits, with relaxed SIMD or without.
    #[inline(always)]
    pub fn dot_i8_i7(self, a: I8x16, b: I8x16) -> Self {
        #[cfg(target_feature = "relaxed-simd")]
        return Self(i32x4_relaxed_dot_i8x16_i7x16_add(a.0, b.0, self.0));
        #[cfg(not(target_feature = "relaxed-simd"))]
        {
            let low = i32x4_extadd_pairwise_i16x8(i16x8_extmul_low_i8x16(a.0, b.0));
            let high = i32x4_extadd_pairwise_i16x8(i16x8_extmul_high_i8x16(a.0, b.0));
            let even = i32x4_shuffle::<0, 2, 4, 6>(low, high);
            let odd = i32x4_shuffle::<1, 3, 5, 7>(low, high);
            Self(i32x4_add(self.0, i32x4_add(even, odd)))
        }
    }
}

instructions! {
    I16x8,
    /// Computes `self + other`, wrapping.
    add(other) -> I16x8 = i16x8_add;
    /// Computes `self − other`, wrapping.
    sub(other) -> I16x8 = i16x8_sub;
    /// Computes the low 16 bits of `self · other`.
    mul(other) -> I16x8 = i16x8_mul;
    /// Computes the bitwise AND.
    and(other) -> I16x8 = v128_and;
    /// Computes the full products of lanes 0 to 3.
    mul_low(other) -> I32x4 = i32x4_extmul_low_i16x8;
    /// Computes the full products of lanes 4 to 7.
    mul_high(other) -> I32x4 = i32x4_extmul_high_i16x8;
    /// Widens lanes 0 to 3.
    widen_low() -> I32x4 = i32x4_extend_low_i16x8;
    /// Widens lanes 4 to 7.
    widen_high() -> I32x4 = i32x4_extend_high_i16x8;
    /// Interleaves the lower halves: lanes `0 0' 1 1' 2 2' 3 3'`.
    interleave_low(other) -> I16x8 = i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>;
    /// Interleaves the upper halves: lanes `4 4' 5 5' 6 6' 7 7'`.
    interleave_high(other) -> I16x8 = i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>;
    /// Computes the minimum.
    min(other) -> I16x8 = i16x8_min;
    /// Computes the maximum.
    max(other) -> I16x8 = i16x8_max;
    /// Narrows to sixteen bytes, saturating to 0 to 255, `self` first.
    narrow_u8(high) -> U8x16 = u8x16_narrow_i16x8;
}

impl I16x8 {
    /// Copies two values to every pair of lanes: the second operand of [`I32x4::dot_i16`].
    #[inline(always)]
    pub fn splat_pair(pair: [i16; 2]) -> Self {
        Self(i32x4_splat(i32::from(pair[1]) << 16 | i32::from(pair[0] as u16)))
    }

    /// Splits each lane into its low and its high byte, −128 to 127.
    #[inline(always)]
    pub fn bytes(self) -> [Self; 2] {
        [i16x8_shr(i16x8_shl(self.0, 8), 8), i16x8_shr(self.0, 8)].map(Self)
    }

    /// Reinterprets the bits as bytes, each lane's low byte first.
    #[inline(always)]
    pub fn as_i8(self) -> I8x16 {
        I8x16(self.0)
    }

    /// Computes `a₂ⱼ·b₂ⱼ + a₂ⱼ₊₁·b₂ⱼ₊₁` in lane `j`, over pairs of bytes. `b` must be 0 to 127; then no lane overflows,
    /// and every processor and build gives the same bits.
    #[inline(always)]
    pub fn pairs_i8_i7(a: I8x16, b: I8x16) -> Self {
        #[cfg(target_feature = "relaxed-simd")]
        return Self(i16x8_relaxed_dot_i8x16_i7x16(a.0, b.0));
        #[cfg(not(target_feature = "relaxed-simd"))]
        {
            let [[a, c], [b, d]] = [Self(a.0).bytes(), Self(b.0).bytes()];
            a.mul(b).add(c.mul(d))
        }
    }

    /// Computes `(self · factor + 2¹⁴) >> 15`, a rounded product with a fraction of 2¹⁵. Not both may be −32768.
    #[inline(always)]
    pub fn mul_q15(self, factor: Self) -> Self {
        #[cfg(target_feature = "relaxed-simd")]
        return Self(i16x8_relaxed_q15mulr(self.0, factor.0));
        #[cfg(not(target_feature = "relaxed-simd"))]
        Self(i16x8_q15mulr_sat(self.0, factor.0))
    }

    /// Narrows to sixteen bytes, saturating to 0 to 127, `self` first.
    #[inline(always)]
    pub fn narrow_u7(self, high: Self) -> U8x16 {
        U8x16(i8x16_max(i8x16_narrow_i16x8(self.0, high.0), i8x16_splat(0)))
    }
}

instructions! {
    I8x16,
    /// Interleaves the lower halves: lanes `0 0' 1 1' … 7 7'`.
    interleave_low(other) -> I8x16 = i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>;
    /// Interleaves the lower halves in pairs: lanes `0 1 0' 1' … 6 7 6' 7'`.
    interleave_pairs_low(other) -> I8x16 = i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>;
    /// Interleaves the upper halves in pairs: lanes `8 9 8' 9' … 14 15 14' 15'`.
    interleave_pairs_high(other) -> I8x16 = i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>;
}

instructions! {
    U8x16,
    /// Computes the minimum.
    min(other) -> U8x16 = u8x16_min;
    /// Computes the maximum.
    max(other) -> U8x16 = u8x16_max;
    /// Interleaves the lower halves: lanes `0 0' 1 1' … 7 7'`.
    interleave_low(other) -> U8x16 = i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>;
    /// Interleaves the upper halves: lanes `8 8' 9 9' … 15 15'`.
    interleave_high(other) -> U8x16 = i8x16_shuffle::<8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31>;
    /// Widens lanes 0 to 7.
    widen_low() -> I16x8 = i16x8_extend_low_u8x16;
    /// Widens lanes 8 to 15.
    widen_high() -> I16x8 = i16x8_extend_high_u8x16;
}

impl U8x16 {
    /// Reinterprets values from 0 to 127 as signed bytes, for [`I32x4::dot_i8_i7`].
    #[inline(always)]
    pub fn as_i7(self) -> I8x16 {
        I8x16(self.0)
    }
}

/// Returns whether [`I32x4::dot_i8_i7`] is one instruction of the processor (VPDPBUSD, SDOT). If it takes three,
/// [`I16x8::pairs_i8_i7`] is worth a second variant of a kernel.
pub fn has_native_dot_i8() -> bool {
    #[cfg(target_feature = "relaxed-simd")]
    {
        // With a second operand that is out of range the result depends on the implementation: three instructions
        // (PMADDUBSW, PMADDWD, PADDD) saturate each pair at 32767.
        let (a, b) = std::hint::black_box((i8x16_splat(127), u8x16_splat(255)));
        let dot = i32x4_relaxed_dot_i8x16_i7x16_add(a, b, i32x4_splat(0));
        i32x4_extract_lane::<0>(dot) != 2 * 32767
    }
    #[cfg(not(target_feature = "relaxed-simd"))]
    false
}
