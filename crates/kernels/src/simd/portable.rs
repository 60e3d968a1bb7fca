//! The vector types as plain arrays: the native implementation, and what the wasm implementation is tested against.
//!
//! Every operation is a branch-free loop over four, eight or sixteen lanes, which LLVM turns into vector instructions
//! of the target. Operations common to all types are generic over the lane type and number.

use super::MAGIC;
use std::array::from_fn;

/// A vector of `N` lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(16))]
pub struct Lanes<T, const N: usize>([T; N]);

/// Four floats.
pub type F32x4 = Lanes<f32, 4>;
/// Four 32-bit integers.
pub type I32x4 = Lanes<i32, 4>;
/// Eight 16-bit integers.
pub type I16x8 = Lanes<i16, 8>;
/// Sixteen signed bytes.
pub type I8x16 = Lanes<i8, 16>;
/// Sixteen unsigned bytes.
pub type U8x16 = Lanes<u8, 16>;

impl<T: Copy + PartialOrd, const N: usize> Lanes<T, N> {
    /// Copies `value` to every lane.
    #[inline(always)]
    pub fn splat(value: T) -> Self {
        Self([value; N])
    }

    /// Loads the first `N` values.
    #[inline(always)]
    pub fn load(values: &[T]) -> Self {
        let values = &values[..N];
        Self(from_fn(|lane| values[lane]))
    }

    /// Stores to the first `N` values.
    #[inline(always)]
    pub fn store(self, values: &mut [T]) {
        values[..N].copy_from_slice(&self.0);
    }

    /// Returns the lanes as an array.
    #[inline(always)]
    pub fn to_array(self) -> [T; N] {
        self.0
    }

    /// Applies `operation` to each pair of lanes.
    #[inline(always)]
    fn zip(self, other: Self, operation: impl Fn(T, T) -> T) -> Self {
        Self(from_fn(|lane| operation(self.0[lane], other.0[lane])))
    }

    /// Computes the minimum, `other < self ? other : self`: a NaN in `other` is ignored.
    #[inline(always)]
    pub fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if b < a { b } else { a })
    }

    /// Computes the maximum, `self < other ? other : self`: a NaN in `other` is ignored.
    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { b } else { a })
    }

    /// Interleaves the lower halves: lanes `0 0' 1 1' …`.
    #[inline(always)]
    pub fn interleave_low(self, other: Self) -> Self {
        Self(from_fn(|lane| if lane.is_multiple_of(2) { self.0[lane / 2] } else { other.0[lane / 2] }))
    }

    /// Interleaves the upper halves: of four lanes `2 2' 3 3'`.
    #[inline(always)]
    pub fn interleave_high(self, other: Self) -> Self {
        let from = |lane: usize| if lane.is_multiple_of(2) { self.0 } else { other.0 };
        Self(from_fn(|lane| from(lane)[N / 2 + lane / 2]))
    }
}

impl F32x4 {
    /// Computes `self + other`.
    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    /// Computes `self − other`.
    #[inline(always)]
    pub fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    /// Computes `self · other`.
    #[inline(always)]
    pub fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    /// Computes `self / other`.
    #[inline(always)]
    pub fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    /// Computes `self · factor + addend`, rounded once if [`FUSED`](super::FUSED), else twice.
    #[inline(always)]
    pub fn mul_add(self, factor: Self, addend: Self) -> Self {
        if super::FUSED {
            Self(from_fn(|lane| self.0[lane].mul_add(factor.0[lane], addend.0[lane])))
        } else {
            self.mul(factor).add(addend)
        }
    }

    /// Computes the square root.
    #[inline(always)]
    pub fn sqrt(self) -> Self {
        Self(from_fn(|lane| self.0[lane].sqrt()))
    }

    /// Sums the four lanes, `(0 + 1) + (2 + 3)`.
    #[inline(always)]
    pub fn sum(self) -> f32 {
        (self.0[0] + self.0[1]) + (self.0[2] + self.0[3])
    }

    /// Rounds to the nearest integers, halves to even. Magnitudes must be below 2²².
    #[inline(always)]
    pub fn round_to_i32(self) -> I32x4 {
        let magic = MAGIC.to_bits() as i32;
        Lanes(from_fn(|lane| ((self.0[lane] + MAGIC).to_bits() as i32).wrapping_sub(magic)))
    }

    /// Rounds towards zero. Magnitudes must be below 2³¹.
    #[inline(always)]
    pub fn truncate_to_i32(self) -> I32x4 {
        Lanes(self.0.map(|value| value as i32))
    }
}

/// Rounds two vectors of floats to one of 16-bit integers.
#[derive(Clone, Copy, Debug)]
pub struct Rounding;

impl Rounding {
    /// Creates the constants, once before a loop.
    #[inline(always)]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self
    }

    /// Rounds both to the nearest 16-bit integers, halves to even: `even` to the even lanes, `odd` to the odd ones.
    /// Values outside of −32768 to 32767 wrap, up to a magnitude of 2²².
    #[inline(always)]
    pub fn interleave(self, even: F32x4, odd: F32x4) -> I16x8 {
        let (even, odd) = (even.round_to_i32().0, odd.round_to_i32().0);
        Lanes(from_fn(|lane| if lane % 2 == 0 { even[lane / 2] as i16 } else { odd[lane / 2] as i16 }))
    }
}

impl I32x4 {
    /// Computes `self + other`, wrapping.
    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        self.zip(other, i32::wrapping_add)
    }

    /// Computes `self − other`, wrapping.
    #[inline(always)]
    pub fn sub(self, other: Self) -> Self {
        self.zip(other, i32::wrapping_sub)
    }

    /// Computes `self · other`, wrapping.
    #[inline(always)]
    pub fn mul(self, other: Self) -> Self {
        self.zip(other, i32::wrapping_mul)
    }

    /// Converts to the nearest floats.
    #[inline(always)]
    pub fn to_f32(self) -> F32x4 {
        Lanes(from_fn(|lane| self.0[lane] as f32))
    }

    /// Computes `2ⁿ` for `n` from −126 to 127.
    #[inline(always)]
    pub fn power_of_two(self) -> F32x4 {
        Lanes(self.0.map(|n| f32::from_bits((n.wrapping_add(127) as u32) << 23)))
    }

    /// Narrows to eight 16-bit lanes with saturation, `self` first.
    #[inline(always)]
    pub fn narrow(self, high: Self) -> I16x8 {
        let lane = |lane: usize| if lane < 4 { self.0[lane] } else { high.0[lane - 4] };
        Lanes(from_fn(|index| lane(index).clamp(i16::MIN.into(), i16::MAX.into()) as i16))
    }

    /// Computes `self + a₂ⱼ·b₂ⱼ + a₂ⱼ₊₁·b₂ⱼ₊₁` in lane `j`, a dot product of pairs.
    #[inline(always)]
    pub fn dot_i16(self, a: I16x8, b: I16x8) -> Self {
        let product = |index: usize| i32::from(a.0[index]).wrapping_mul(b.0[index].into());
        let pair = |lane: usize| product(2 * lane).wrapping_add(product(2 * lane + 1));
        Self(from_fn(|lane| self.0[lane].wrapping_add(pair(lane))))
    }

    /// Computes `self + Σ aᵢ·bᵢ` over the four bytes of lane `j`. `b` must be 0 to 127; then every processor and build
    /// gives the same bits, with relaxed SIMD or without.
    #[inline(always)]
    pub fn dot_i8_i7(self, a: I8x16, b: I8x16) -> Self {
        let product = |index: usize| i32::from(a.0[index]) * i32::from(b.0[index]);
        let four = |lane: usize| (0..4).map(|byte| product(4 * lane + byte)).sum::<i32>();
        Self(from_fn(|lane| self.0[lane].wrapping_add(four(lane))))
    }
}

/// One column of several rows.
#[derive(Debug)]
pub struct Column<'a, const N: usize>([&'a [f32]; N], usize);

impl<const N: usize> Column<'_, N> {
    /// Copies the row's value in this column to every lane.
    #[inline(always)]
    pub fn splat(&self, row: usize) -> F32x4 {
        F32x4::splat(self.0[row][self.1])
    }
}

/// Calls `step` for each of `others` with the column of the same index of `N` rows.
///
/// `values` holds the rows, one every `stride` values.
///
/// # Panics
///
/// If a row has fewer values than there are `others`.
#[inline(always)]
pub fn columns<T, const N: usize>(
    values: &[f32],
    stride: usize,
    others: &[T],
    mut step: impl FnMut(&Column<N>, &T),
) {
    assert!(others.len() <= stride && stride <= values.len() / N, "rows as long as the others");
    let rows = from_fn(|row| &values[row * stride..][..others.len()]);
    for (at, other) in others.iter().enumerate() {
        step(&Column(rows, at), other);
    }
}

impl I16x8 {
    /// Copies two values to every pair of lanes: the second operand of [`I32x4::dot_i16`].
    #[inline(always)]
    pub fn splat_pair(pair: [i16; 2]) -> Self {
        Self(from_fn(|lane| pair[lane % 2]))
    }

    /// Loads the first eight bytes, 0 to 255, and widens them.
    #[inline(always)]
    pub fn load_u8(values: &[u8]) -> Self {
        let values = &values[..8];
        Self(from_fn(|lane| values[lane].into()))
    }

    /// Loads the first eight bytes, −128 to 127, and widens them.
    #[inline(always)]
    pub fn load_i8(values: &[i8]) -> Self {
        let values = &values[..8];
        Self(from_fn(|lane| values[lane].into()))
    }

    /// Computes `self + other`, wrapping.
    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        self.zip(other, i16::wrapping_add)
    }

    /// Computes `self − other`, wrapping.
    #[inline(always)]
    pub fn sub(self, other: Self) -> Self {
        self.zip(other, i16::wrapping_sub)
    }

    /// Computes the low 16 bits of `self · other`.
    #[inline(always)]
    pub fn mul(self, other: Self) -> Self {
        self.zip(other, i16::wrapping_mul)
    }

    /// Computes the bitwise AND.
    #[inline(always)]
    pub fn and(self, other: Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    /// Splits each lane into its low and its high byte, −128 to 127.
    #[inline(always)]
    pub fn bytes(self) -> [Self; 2] {
        [Self(self.0.map(|lane| lane << 8 >> 8)), Self(self.0.map(|lane| lane >> 8))]
    }

    /// Reinterprets the bits as bytes, each lane's low byte first.
    #[inline(always)]
    pub fn as_i8(self) -> I8x16 {
        Lanes(from_fn(|byte| self.0[byte / 2].to_le_bytes()[byte % 2] as i8))
    }

    /// Computes the full products of lanes 0 to 3.
    #[inline(always)]
    pub fn mul_low(self, other: Self) -> I32x4 {
        Lanes(from_fn(|lane| i32::from(self.0[lane]).wrapping_mul(other.0[lane].into())))
    }

    /// Computes the full products of lanes 4 to 7.
    #[inline(always)]
    pub fn mul_high(self, other: Self) -> I32x4 {
        Lanes(from_fn(|lane| i32::from(self.0[lane + 4]).wrapping_mul(other.0[lane + 4].into())))
    }

    /// Widens lanes 0 to 3.
    #[inline(always)]
    pub fn widen_low(self) -> I32x4 {
        Lanes(from_fn(|lane| self.0[lane].into()))
    }

    /// Widens lanes 4 to 7.
    #[inline(always)]
    pub fn widen_high(self) -> I32x4 {
        Lanes(from_fn(|lane| self.0[lane + 4].into()))
    }

    /// Loads the first two values to every pair of lanes: the second operand of [`I32x4::dot_i16`].
    #[inline(always)]
    pub fn splat_two(values: &[i16]) -> Self {
        let values = &values[..2];
        Self(from_fn(|lane| values[lane % 2]))
    }

    /// Computes `a₂ⱼ·b₂ⱼ + a₂ⱼ₊₁·b₂ⱼ₊₁` in lane `j`, over pairs of bytes. `b` must be 0 to 127; then no lane overflows,
    /// and every processor and build gives the same bits.
    #[inline(always)]
    pub fn pairs_i8_i7(a: I8x16, b: I8x16) -> Self {
        let product = |index: usize| i16::from(a.0[index]) * i16::from(b.0[index]);
        Self(from_fn(|lane| product(2 * lane).wrapping_add(product(2 * lane + 1))))
    }

    /// Computes `(self · factor + 2¹⁴) >> 15`, a rounded product with a fraction of 2¹⁵. Not both may be −32768.
    #[inline(always)]
    pub fn mul_q15(self, factor: Self) -> Self {
        let lane = |lane: usize| (i32::from(self.0[lane]) * i32::from(factor.0[lane]) + (1 << 14)) >> 15;
        Self(from_fn(|index| lane(index) as i16))
    }

    /// Narrows to sixteen bytes, saturating to 0 to 127, `self` first.
    #[inline(always)]
    pub fn narrow_u7(self, high: Self) -> U8x16 {
        let lane = |lane: usize| if lane < 8 { self.0[lane] } else { high.0[lane - 8] };
        Lanes(from_fn(|index| lane(index).clamp(0, 127) as u8))
    }

    /// Narrows to sixteen bytes, saturating to 0 to 255, `self` first.
    #[inline(always)]
    pub fn narrow_u8(self, high: Self) -> U8x16 {
        let lane = |lane: usize| if lane < 8 { self.0[lane] } else { high.0[lane - 8] };
        Lanes(from_fn(|index| lane(index).clamp(0, 255) as u8))
    }
}

impl I8x16 {
    /// Loads the first four bytes, each 0 to 127, to every four lanes: the second operand of [`I32x4::dot_i8_i7`].
    #[inline(always)]
    pub fn splat_four(values: &[u8]) -> Self {
        let values = &values[..4];
        Self(from_fn(|lane| values[lane % 4] as i8))
    }

    /// Loads the first eight values to the low lanes, the even ones first, with zeros above.
    #[inline(always)]
    pub fn load_evens_first(values: &[i8]) -> Self {
        let values = &values[..8];
        Self(from_fn(|lane| if lane < 8 { values[2 * lane % 8 + lane / 4] } else { 0 }))
    }

    /// Loads the first eight values to the low lanes, with zeros above.
    #[inline(always)]
    pub fn load_low(values: &[i8]) -> Self {
        let values = &values[..8];
        Self(from_fn(|lane| if lane < 8 { values[lane] } else { 0 }))
    }

    /// Interleaves the lower halves in pairs: lanes `0 1 0' 1' … 6 7 6' 7'`.
    #[inline(always)]
    pub fn interleave_pairs_low(self, other: Self) -> Self {
        let from = |lane: usize| if lane % 4 < 2 { self.0 } else { other.0 };
        Self(from_fn(|lane| from(lane)[lane / 4 * 2 + lane % 2]))
    }

    /// Interleaves the upper halves in pairs: lanes `8 9 8' 9' … 14 15 14' 15'`.
    #[inline(always)]
    pub fn interleave_pairs_high(self, other: Self) -> Self {
        let from = |lane: usize| if lane % 4 < 2 { self.0 } else { other.0 };
        Self(from_fn(|lane| from(lane)[8 + lane / 4 * 2 + lane % 2]))
    }
}

/// Returns whether `I32x4::dot_i8_i7` is one instruction of the processor. Always false here.
pub fn has_native_dot_i8() -> bool {
    false
}

impl U8x16 {
    /// Loads the first eight values to the low lanes, with zeros above.
    #[inline(always)]
    pub fn load_low(values: &[u8]) -> Self {
        let values = &values[..8];
        Self(from_fn(|lane| if lane < 8 { values[lane] } else { 0 }))
    }

    /// Stores lanes 0 to 7.
    #[inline(always)]
    pub fn store_low(self, values: &mut [u8]) {
        values[..8].copy_from_slice(&self.0[..8]);
    }

    /// Stores lanes 8 to 15.
    #[inline(always)]
    pub fn store_high(self, values: &mut [u8]) {
        values[..8].copy_from_slice(&self.0[8..]);
    }

    /// Stores lanes 0 to 3.
    #[inline(always)]
    pub fn store_four(self, values: &mut [u8]) {
        values[..4].copy_from_slice(&self.0[..4]);
    }

    /// Stores lanes 4 to 7.
    #[inline(always)]
    pub fn store_next_four(self, values: &mut [u8]) {
        values[..4].copy_from_slice(&self.0[4..8]);
    }

    /// Widens lanes 0 to 7.
    #[inline(always)]
    pub fn widen_low(self) -> I16x8 {
        Lanes(from_fn(|lane| self.0[lane].into()))
    }

    /// Widens lanes 8 to 15.
    #[inline(always)]
    pub fn widen_high(self) -> I16x8 {
        Lanes(from_fn(|lane| self.0[lane + 8].into()))
    }

    /// Reinterprets values from 0 to 127 as signed bytes, for [`I32x4::dot_i8_i7`].
    #[inline(always)]
    pub fn as_i7(self) -> I8x16 {
        Lanes(self.0.map(|value| value as i8))
    }
}
