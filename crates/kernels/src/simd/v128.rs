//! The vocabulary on wasm's `v128`: one instruction an operation. The only file of the crate with `unsafe`.
//!
//! Intrinsics that stay in registers are safe; loads and stores go through references to arrays of the right size,
//! so the only thing `unsafe` vouches for is that such a reference is good for 16 (8, 4) bytes.

#![allow(unsafe_code)]

use super::MAGIC;
use core::arch::wasm32::*;
use std::array::from_fn;

/// Reads a vector from sixteen bytes' worth of array.
#[inline(always)]
fn load<T: Copy, const N: usize>(values: &[T; N]) -> v128 {
    const { assert!(size_of::<[T; N]>() == 16) };
    // SAFETY: the reference is valid for the 16 bytes read; v128.load needs no alignment.
    unsafe { v128_load(values.as_ptr().cast()) }
}

/// Writes a vector to sixteen bytes' worth of array.
#[inline(always)]
fn store<T: Copy, const N: usize>(vector: v128, values: &mut [T; N]) {
    const { assert!(size_of::<[T; N]>() == 16) };
    // SAFETY: the reference is valid for the 16 bytes written, and any bits are a value of the integer and float
    // types this file calls it with; v128.store needs no alignment.
    unsafe { v128_store(values.as_mut_ptr().cast(), vector) }
}

/// The first `N` values. Panics where there are fewer.
#[inline(always)]
fn head<T, const N: usize>(values: &[T]) -> &[T; N] {
    values.first_chunk().expect("a vector's worth of values")
}

/// The first `N` values. Panics where there are fewer.
#[inline(always)]
fn head_mut<T, const N: usize>(values: &mut [T]) -> &mut [T; N] {
    values.first_chunk_mut().expect("a vector's worth of room")
}

/// A vector type: sixteen bytes of lanes, read from slices and written to them.
macro_rules! vector {
    ($(#[$doc:meta])* $name:ident, [$lane:ty; $lanes:literal], $splat:ident, $equal:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        #[repr(transparent)]
        pub struct $name(v128);

        impl $name {
            /// The same value in every lane.
            #[inline(always)]
            pub fn splat(value: $lane) -> Self {
                Self($splat(value))
            }

            #[doc = concat!("The first ", $lanes, " values. Panics where there are fewer.")]
            #[inline(always)]
            pub fn load(values: &[$lane]) -> Self {
                Self(load(head::<$lane, $lanes>(values)))
            }

            #[doc = concat!("Writes the first ", $lanes, " values. Panics where there are fewer.")]
            #[inline(always)]
            pub fn store(self, values: &mut [$lane]) {
                store(self.0, head_mut::<$lane, $lanes>(values));
            }

            /// The lanes as an array.
            #[inline(always)]
            pub fn to_array(self) -> [$lane; $lanes] {
                let mut values = [<$lane>::default(); $lanes];
                self.store(&mut values);
                values
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                u8x16_all_true($equal(self.0, other.0)) // the bytes of equal lanes are ones
            }
        }
    };
}

/// Operations that are one instruction on one vector, or on two.
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

vector! {
    /// Four floats.
    F32x4, [f32; 4], f32x4_splat, f32x4_eq
}

instructions! {
    F32x4,
    /// `self + other`.
    add(other) -> F32x4 = f32x4_add;
    /// `self − other`.
    sub(other) -> F32x4 = f32x4_sub;
    /// `self · other`.
    mul(other) -> F32x4 = f32x4_mul;
    /// `self / other`.
    div(other) -> F32x4 = f32x4_div;
    /// The smaller of each two lanes: `other < self ? other : self`, so a NaN in `other` is passed over.
    min(other) -> F32x4 = f32x4_pmin;
    /// The larger of each two lanes: `self < other ? other : self`, so a NaN in `other` is passed over.
    max(other) -> F32x4 = f32x4_pmax;
    /// Square root of each lane.
    sqrt() -> F32x4 = f32x4_sqrt;
    /// Lanes `0 0' 1 1'`.
    interleave_low(other) -> F32x4 = i32x4_shuffle::<0, 4, 1, 5>;
    /// Lanes `2 2' 3 3'`.
    interleave_high(other) -> F32x4 = i32x4_shuffle::<2, 6, 3, 7>;
}

impl F32x4 {
    /// `self · factor + addend`: rounded once where [`FUSED`](super::FUSED), twice elsewhere.
    #[inline(always)]
    pub fn mul_add(self, factor: Self, addend: Self) -> Self {
        #[cfg(target_feature = "relaxed-simd")]
        return Self(f32x4_relaxed_madd(self.0, factor.0, addend.0));
        #[cfg(not(target_feature = "relaxed-simd"))]
        return self.mul(factor).add(addend);
    }

    /// Sum of the four lanes, `(0 + 1) + (2 + 3)`.
    #[inline(always)]
    pub fn sum(self) -> f32 {
        let [a, b, c, d] = self.to_array();
        (a + b) + (c + d)
    }

    /// The nearest integers, halves to even. Right for values of less than 2²² in size: clamp before.
    #[inline(always)]
    pub fn round_to_i32(self) -> I32x4 {
        I32x4(i32x4_sub(f32x4_add(self.0, f32x4_splat(MAGIC)), i32x4_splat(MAGIC.to_bits() as i32)))
    }

    /// The integers towards zero. Right for values of less than 2³¹ in size.
    #[inline(always)]
    pub fn truncate_to_i32(self) -> I32x4 {
        #[cfg(target_feature = "relaxed-simd")]
        return I32x4(i32x4_relaxed_trunc_f32x4(self.0));
        #[cfg(not(target_feature = "relaxed-simd"))]
        I32x4(i32x4_trunc_sat_f32x4(self.0))
    }
}

/// Rounds two vectors of floats into one of 16-bit integers, [`MAGIC`] being in a register: V8 builds a constant anew
/// wherever it is used.
#[derive(Clone, Copy, Debug)]
pub struct Rounding(v128);

impl Rounding {
    /// For use in a loop.
    #[inline(always)]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(f32x4_splat(std::hint::black_box(MAGIC)))
    }

    /// The nearest integers of both, halves to even, in 16 bits: `even` in the even lanes, `odd` in the odd ones.
    /// Right for −32768 to 32767; what lies beyond that wraps, up to 2²² in size.
    #[inline(always)]
    pub fn interleave(self, even: F32x4, odd: F32x4) -> I16x8 {
        // The magic number's low sixteen bits are zero, so the low half of each lane is the integer already. (A
        // narrowing instruction would want a subtraction first, and LLVM 22 takes the pair apart into six.)
        let odd = i32x4_shl(f32x4_add(odd.0, self.0), 16);
        I16x8(i16x8_shuffle::<0, 9, 2, 11, 4, 13, 6, 15>(f32x4_add(even.0, self.0), odd))
    }
}

vector! {
    /// Four 32-bit integers.
    I32x4, [i32; 4], i32x4_splat, i32x4_eq
}

instructions! {
    I32x4,
    /// `self + other`, wrapping.
    add(other) -> I32x4 = i32x4_add;
    /// `self − other`, wrapping.
    sub(other) -> I32x4 = i32x4_sub;
    /// `self · other`, wrapping.
    mul(other) -> I32x4 = i32x4_mul;
    /// The smaller of each two lanes.
    min(other) -> I32x4 = i32x4_min;
    /// The larger of each two lanes.
    max(other) -> I32x4 = i32x4_max;
    /// The nearest floats.
    to_f32() -> F32x4 = f32x4_convert_i32x4;
    /// Eight lanes of 16 bits, `self` first; what does not fit becomes the nearest that does.
    narrow(high) -> I16x8 = i16x8_narrow_i32x4;
}

impl I32x4 {
    /// `2ⁿ` for `n` of −126 to 127.
    #[inline(always)]
    pub fn power_of_two(self) -> F32x4 {
        F32x4(i32x4_shl(i32x4_add(self.0, i32x4_splat(127)), 23))
    }

    /// `self + a₂ⱼ·b₂ⱼ + a₂ⱼ₊₁·b₂ⱼ₊₁` in lane `j`: a dot product of pairs of 16 bits.
    #[inline(always)]
    pub fn dot_i16(self, a: I16x8, b: I16x8) -> Self {
        Self(i32x4_add(self.0, i32x4_dot_i16x8(a.0, b.0)))
    }

    /// `self + Σ aᵢ·bᵢ` over the four bytes of lane `j`. `b` must lie in 0 to 127; then every processor and every
    /// build gives the same bits, with relaxed SIMD or without.
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

/// One column of several rows: where each row has got to, and how many columns further this one is.
#[derive(Debug)]
pub struct Column<const N: usize>([*const f32; N], usize);

impl<const N: usize> Column<N> {
    /// The row's value in every lane.
    #[inline(always)]
    pub fn splat(&self, row: usize) -> F32x4 {
        // SAFETY: `columns` alone makes columns, and keeps each within its rows while it lends it.
        unsafe { F32x4(v128_load32_splat(self.0[row].add(self.1).cast())) }
    }

    /// Goes on by `columns`.
    #[inline(always)]
    fn advance(&mut self, columns: usize) {
        // SAFETY: `columns` goes on by no more than a row has, so this leads to another or just beyond the last.
        self.0 = self.0.map(|value| unsafe { value.add(columns) });
        self.1 = 0;
    }
}

/// Calls `step` for each of `others`, in order, with the column of the same number of the `N` rows that `values` holds, one
/// every `stride`. Panics where a row has fewer values than there are others.
///
/// Every row has its own pointer, so that no address is worked out anew, and four columns go by before the pointers do: a
/// core that is narrow, or shared with another thread, has no room to begin more than the multiply-adds and their loads.
/// Between the four there are ways out: without them LLVM nests what the four do, all of their operands live at once, and
/// half of them are spilled. That the ways out are never taken is hidden from it.
#[inline(always)]
pub fn columns<T, const N: usize>(
    values: &[f32],
    stride: usize,
    others: &[T],
    mut step: impl FnMut(&Column<N>, &T),
) {
    assert!(others.len() <= stride && stride <= values.len() / N, "rows as long as the others");
    // SAFETY: N rows of `stride` values are no more than there are.
    let mut column = Column(from_fn(|row| unsafe { values.as_ptr().add(row * stride) }), 0);
    let (fours, rest) = others.as_chunks::<4>();
    let mut left = std::hint::black_box(others.len());
    for four in fours {
        for (at, other) in four.iter().enumerate() {
            column.1 = at;
            step(&column, other);
            // After the fourth the loop's own end follows.
            if at < 3 && left < at + 2 {
                return;
            }
        }
        left -= 4;
        column.advance(4);
    }
    for other in rest {
        step(&column, other);
        column.advance(1);
    }
}

vector! {
    /// Eight 16-bit integers.
    I16x8, [i16; 8], i16x8_splat, i16x8_eq
}

instructions! {
    I16x8,
    /// `self + other`, wrapping.
    add(other) -> I16x8 = i16x8_add;
    /// `self − other`, wrapping.
    sub(other) -> I16x8 = i16x8_sub;
    /// `self · other`, the low 16 bits.
    mul(other) -> I16x8 = i16x8_mul;
    /// The bits that both have.
    and(other) -> I16x8 = v128_and;
    /// The whole products of lanes 0 to 3.
    mul_low(other) -> I32x4 = i32x4_extmul_low_i16x8;
    /// The whole products of lanes 4 to 7.
    mul_high(other) -> I32x4 = i32x4_extmul_high_i16x8;
    /// Lanes 0 to 3, widened.
    widen_low() -> I32x4 = i32x4_extend_low_i16x8;
    /// Lanes 4 to 7, widened.
    widen_high() -> I32x4 = i32x4_extend_high_i16x8;
    /// Lanes `0 0' 1 1' 2 2' 3 3'`.
    interleave_low(other) -> I16x8 = i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>;
    /// Lanes `4 4' 5 5' 6 6' 7 7'`.
    interleave_high(other) -> I16x8 = i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>;
    /// The smaller of each two lanes.
    min(other) -> I16x8 = i16x8_min;
    /// The larger of each two lanes.
    max(other) -> I16x8 = i16x8_max;
    /// Sixteen bytes 0 to 255, `self` first; what does not fit becomes the nearest that does.
    narrow_u8(high) -> U8x16 = u8x16_narrow_i16x8;
}

impl I16x8 {
    /// The same two values in every pair of lanes: the second operand of [`I32x4::dot_i16`].
    #[inline(always)]
    pub fn splat_pair(pair: [i16; 2]) -> Self {
        Self(i32x4_splat(i32::from(pair[1]) << 16 | i32::from(pair[0] as u16)))
    }

    /// The first eight bytes, 0 to 255, widened. Panics where there are fewer.
    #[inline(always)]
    pub fn load_u8(values: &[u8]) -> Self {
        let values: &[u8; 8] = head(values);
        // SAFETY: the reference is valid for the 8 bytes read, at any alignment.
        Self(unsafe { u16x8_load_extend_u8x8(values.as_ptr()) })
    }

    /// The first eight bytes, −128 to 127, widened. Panics where there are fewer.
    #[inline(always)]
    pub fn load_i8(values: &[i8]) -> Self {
        let values: &[i8; 8] = head(values);
        // SAFETY: the reference is valid for the 8 bytes read, at any alignment.
        Self(unsafe { i16x8_load_extend_i8x8(values.as_ptr()) })
    }

    /// The low byte of each lane and the high one, −128 to 127.
    #[inline(always)]
    pub fn bytes(self) -> [Self; 2] {
        [i16x8_shr(i16x8_shl(self.0, 8), 8), i16x8_shr(self.0, 8)].map(Self)
    }

    /// The same bits as bytes, each lane's low one first.
    #[inline(always)]
    pub fn as_i8(self) -> I8x16 {
        I8x16(self.0)
    }

    /// The first two values in every pair of lanes: the second operand of [`I32x4::dot_i16`]. Panics where there
    /// are fewer.
    #[inline(always)]
    pub fn splat_two(values: &[i16]) -> Self {
        let values: &[i16; 2] = head(values);
        // SAFETY: the reference is valid for the 4 bytes read, at any alignment.
        Self(unsafe { v128_load32_splat(values.as_ptr().cast()) })
    }

    /// `a₂ⱼ·b₂ⱼ + a₂ⱼ₊₁·b₂ⱼ₊₁` in lane `j`, over pairs of bytes. `b` must lie in 0 to 127; then no lane overflows,
    /// and every processor and every build gives the same bits.
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

    /// `(self · factor + 2¹⁴) >> 15`: times a fraction of 2¹⁵, rounded. Right unless both are −32768.
    #[inline(always)]
    pub fn mul_q15(self, factor: Self) -> Self {
        #[cfg(target_feature = "relaxed-simd")]
        return Self(i16x8_relaxed_q15mulr(self.0, factor.0));
        #[cfg(not(target_feature = "relaxed-simd"))]
        Self(i16x8_q15mulr_sat(self.0, factor.0))
    }

    /// Sixteen bytes 0 to 127, `self` first; what does not fit becomes the nearest that does.
    #[inline(always)]
    pub fn narrow_u7(self, high: Self) -> U8x16 {
        U8x16(i8x16_max(i8x16_narrow_i16x8(self.0, high.0), i8x16_splat(0)))
    }
}

vector! {
    /// Sixteen signed bytes.
    I8x16, [i8; 16], i8x16_splat, i8x16_eq
}

instructions! {
    I8x16,
    /// Lanes `0 0' 1 1' … 7 7'`.
    interleave_low(other) -> I8x16 = i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>;
    /// Pairs of lanes `0 1 0' 1' … 6 7 6' 7'`.
    interleave_pairs_low(other) -> I8x16 = i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>;
    /// Pairs of lanes `8 9 8' 9' … 14 15 14' 15'`.
    interleave_pairs_high(other) -> I8x16 = i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>;
}

impl I8x16 {
    /// The first four bytes, each 0 to 127, in every four lanes: the second operand of [`I32x4::dot_i8_i7`].
    /// Panics where there are fewer.
    #[inline(always)]
    pub fn splat_four(values: &[u8]) -> Self {
        let values: &[u8; 4] = head(values);
        // SAFETY: the reference is valid for the 4 bytes read, at any alignment.
        Self(unsafe { v128_load32_splat(values.as_ptr().cast()) })
    }

    /// The first eight values, even ones first, in the low lanes, zeros above. Panics where there are fewer.
    #[inline(always)]
    pub fn load_evens_first(values: &[i8]) -> Self {
        let values = Self::load_low(values).0;
        Self(i8x16_shuffle::<0, 2, 4, 6, 1, 3, 5, 7, 8, 8, 8, 8, 8, 8, 8, 8>(values, values))
    }

    /// The first eight values in the low lanes, zeros above. Panics where there are fewer.
    #[inline(always)]
    pub fn load_low(values: &[i8]) -> Self {
        let values: &[i8; 8] = head(values);
        // SAFETY: the reference is valid for the 8 bytes read, at any alignment.
        Self(unsafe { v128_load64_zero(values.as_ptr().cast()) })
    }
}

/// Whether this machine computes [`I32x4::dot_i8_i7`] in one instruction (VPDPBUSD, SDOT). Where it takes three,
/// [`I16x8::pairs_i8_i7`] is worth a second way through a kernel.
pub fn dot_i8_i7_is_one_instruction() -> bool {
    #[cfg(target_feature = "relaxed-simd")]
    {
        // Out of bounds for the second operand the instruction shows what it is made of: the three (PMADDUBSW,
        // PMADDWD, PADDD) saturate each pair at 32767.
        let (a, b) = std::hint::black_box((i8x16_splat(127), u8x16_splat(255)));
        let dot = i32x4_relaxed_dot_i8x16_i7x16_add(a, b, i32x4_splat(0));
        i32x4_extract_lane::<0>(dot) != 2 * 32767
    }
    #[cfg(not(target_feature = "relaxed-simd"))]
    false
}

vector! {
    /// Sixteen unsigned bytes.
    U8x16, [u8; 16], u8x16_splat, u8x16_eq
}

instructions! {
    U8x16,
    /// The smaller of each two lanes.
    min(other) -> U8x16 = u8x16_min;
    /// The larger of each two lanes.
    max(other) -> U8x16 = u8x16_max;
    /// Lanes `0 0' 1 1' … 7 7'`.
    interleave_low(other) -> U8x16 = i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>;
    /// Lanes `8 8' 9 9' … 15 15'`.
    interleave_high(other) -> U8x16 = i8x16_shuffle::<8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31>;
    /// Lanes 0 to 7, widened.
    widen_low() -> I16x8 = i16x8_extend_low_u8x16;
    /// Lanes 8 to 15, widened.
    widen_high() -> I16x8 = i16x8_extend_high_u8x16;
}

impl U8x16 {
    /// The first eight values in the low lanes, zeros above. Panics where there are fewer.
    #[inline(always)]
    pub fn load_low(values: &[u8]) -> Self {
        let values: &[u8; 8] = head(values);
        // SAFETY: the reference is valid for the 8 bytes read, at any alignment.
        Self(unsafe { v128_load64_zero(values.as_ptr().cast()) })
    }

    /// Writes lanes 0 to 7. Panics where there is less room.
    #[inline(always)]
    pub fn store_low(self, values: &mut [u8]) {
        let values: &mut [u8; 8] = head_mut(values);
        // SAFETY: the reference is valid for the 8 bytes written, at any alignment.
        unsafe { v128_store64_lane::<0>(self.0, values.as_mut_ptr().cast()) }
    }

    /// Writes lanes 8 to 15. Panics where there is less room.
    #[inline(always)]
    pub fn store_high(self, values: &mut [u8]) {
        let values: &mut [u8; 8] = head_mut(values);
        // SAFETY: the reference is valid for the 8 bytes written, at any alignment.
        unsafe { v128_store64_lane::<1>(self.0, values.as_mut_ptr().cast()) }
    }

    /// Writes lanes 0 to 3. Panics where there is less room.
    #[inline(always)]
    pub fn store_four(self, values: &mut [u8]) {
        let values: &mut [u8; 4] = head_mut(values);
        // SAFETY: the reference is valid for the 4 bytes written, at any alignment.
        unsafe { v128_store32_lane::<0>(self.0, values.as_mut_ptr().cast()) }
    }

    /// Writes lanes 4 to 7. Panics where there is less room.
    #[inline(always)]
    pub fn store_next_four(self, values: &mut [u8]) {
        let values: &mut [u8; 4] = head_mut(values);
        // SAFETY: the reference is valid for the 4 bytes written, at any alignment.
        unsafe { v128_store32_lane::<1>(self.0, values.as_mut_ptr().cast()) }
    }

    /// The same bits as signed bytes, for [`I32x4::dot_i8_i7`]: values must lie in 0 to 127.
    #[inline(always)]
    pub fn as_i7(self) -> I8x16 {
        I8x16(self.0)
    }
}
