//! The vocabulary on plain arrays: what native programs run, and what the wasm body is tested against.
//!
//! Every operation is a loop over four, eight or sixteen lanes without a branch, which LLVM turns into vector
//! instructions of whatever the target has. What every type can do stands once, over the lanes' type and number.

use super::MAGIC;
use std::array::from_fn;

/// `N` numbers that are worked on together.
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
    /// The same value in every lane.
    #[inline(always)]
    pub fn splat(value: T) -> Self {
        Self([value; N])
    }

    /// The first `N` values. Panics where there are fewer.
    #[inline(always)]
    pub fn load(values: &[T]) -> Self {
        let values = &values[..N];
        Self(from_fn(|lane| values[lane]))
    }

    /// Writes the first `N` values. Panics where there are fewer.
    #[inline(always)]
    pub fn store(self, values: &mut [T]) {
        values[..N].copy_from_slice(&self.0);
    }

    /// The lanes as an array.
    #[inline(always)]
    pub fn to_array(self) -> [T; N] {
        self.0
    }

    /// `operation` on each two lanes.
    #[inline(always)]
    fn zip(self, other: Self, operation: impl Fn(T, T) -> T) -> Self {
        Self(from_fn(|lane| operation(self.0[lane], other.0[lane])))
    }

    /// The smaller of each two lanes: `other < self ? other : self`, so a NaN in `other` is passed over.
    #[inline(always)]
    pub fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if b < a { b } else { a })
    }

    /// The larger of each two lanes: `self < other ? other : self`, so a NaN in `other` is passed over.
    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { b } else { a })
    }

    /// The lower halves of both, alternating: lanes `0 0' 1 1' …`.
    #[inline(always)]
    pub fn interleave_low(self, other: Self) -> Self {
        Self(from_fn(|lane| if lane.is_multiple_of(2) { self.0[lane / 2] } else { other.0[lane / 2] }))
    }

    /// The upper halves of both, alternating: of four lanes `2 2' 3 3'`.
    #[inline(always)]
    pub fn interleave_high(self, other: Self) -> Self {
        let from = |lane: usize| if lane.is_multiple_of(2) { self.0 } else { other.0 };
        Self(from_fn(|lane| from(lane)[N / 2 + lane / 2]))
    }
}

impl F32x4 {
    /// `self + other`.
    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    /// `self − other`.
    #[inline(always)]
    pub fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    /// `self · other`.
    #[inline(always)]
    pub fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    /// `self / other`.
    #[inline(always)]
    pub fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    /// `self · factor + addend`: rounded once where [`FUSED`](super::FUSED), twice elsewhere.
    #[inline(always)]
    pub fn mul_add(self, factor: Self, addend: Self) -> Self {
        if super::FUSED {
            Self(from_fn(|lane| self.0[lane].mul_add(factor.0[lane], addend.0[lane])))
        } else {
            self.mul(factor).add(addend)
        }
    }

    /// Square root of each lane.
    #[inline(always)]
    pub fn sqrt(self) -> Self {
        Self(from_fn(|lane| self.0[lane].sqrt()))
    }

    /// Sum of the four lanes, `(0 + 1) + (2 + 3)`.
    #[inline(always)]
    pub fn sum(self) -> f32 {
        (self.0[0] + self.0[1]) + (self.0[2] + self.0[3])
    }

    /// The nearest integers, halves to even. Right for values of less than 2²² in size: clamp before.
    #[inline(always)]
    pub fn round_to_i32(self) -> I32x4 {
        let magic = MAGIC.to_bits() as i32;
        Lanes(from_fn(|lane| ((self.0[lane] + MAGIC).to_bits() as i32).wrapping_sub(magic)))
    }

    /// The integers towards zero. Right for values of less than 2³¹ in size.
    #[inline(always)]
    pub fn truncate_to_i32(self) -> I32x4 {
        Lanes(self.0.map(|value| value as i32))
    }
}

/// Rounds two vectors of floats into one of 16-bit integers.
#[derive(Clone, Copy, Debug)]
pub struct Rounding;

impl Rounding {
    /// For use in a loop.
    #[inline(always)]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self
    }

    /// The nearest integers of both, halves to even, in 16 bits: `even` in the even lanes, `odd` in the odd ones.
    /// Right for −32768 to 32767; what lies beyond that wraps, up to 2²² in size.
    #[inline(always)]
    pub fn interleave(self, even: F32x4, odd: F32x4) -> I16x8 {
        let (even, odd) = (even.round_to_i32().0, odd.round_to_i32().0);
        Lanes(from_fn(|lane| if lane % 2 == 0 { even[lane / 2] as i16 } else { odd[lane / 2] as i16 }))
    }
}

impl I32x4 {
    /// `self + other`, wrapping.
    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        self.zip(other, i32::wrapping_add)
    }

    /// `self − other`, wrapping.
    #[inline(always)]
    pub fn sub(self, other: Self) -> Self {
        self.zip(other, i32::wrapping_sub)
    }

    /// `self · other`, wrapping.
    #[inline(always)]
    pub fn mul(self, other: Self) -> Self {
        self.zip(other, i32::wrapping_mul)
    }

    /// The nearest floats.
    #[inline(always)]
    pub fn to_f32(self) -> F32x4 {
        Lanes(from_fn(|lane| self.0[lane] as f32))
    }

    /// `2ⁿ` for `n` of −126 to 127.
    #[inline(always)]
    pub fn power_of_two(self) -> F32x4 {
        Lanes(self.0.map(|n| f32::from_bits((n.wrapping_add(127) as u32) << 23)))
    }

    /// Eight lanes of 16 bits, `self` first; what does not fit becomes the nearest that does.
    #[inline(always)]
    pub fn narrow(self, high: Self) -> I16x8 {
        let lane = |lane: usize| if lane < 4 { self.0[lane] } else { high.0[lane - 4] };
        Lanes(from_fn(|index| lane(index).clamp(i16::MIN.into(), i16::MAX.into()) as i16))
    }

    /// `self + a₂ⱼ·b₂ⱼ + a₂ⱼ₊₁·b₂ⱼ₊₁` in lane `j`: a dot product of pairs of 16 bits.
    #[inline(always)]
    pub fn dot_i16(self, a: I16x8, b: I16x8) -> Self {
        let product = |index: usize| i32::from(a.0[index]).wrapping_mul(b.0[index].into());
        let pair = |lane: usize| product(2 * lane).wrapping_add(product(2 * lane + 1));
        Self(from_fn(|lane| self.0[lane].wrapping_add(pair(lane))))
    }

    /// `self + Σ aᵢ·bᵢ` over the four bytes of lane `j`. `b` must lie in 0 to 127; then every processor and every
    /// build gives the same bits, with relaxed SIMD or without.
    #[inline(always)]
    pub fn dot_i8_i7(self, a: I8x16, b: I8x16) -> Self {
        let product = |index: usize| i32::from(a.0[index]) * i32::from(b.0[index]);
        let four = |lane: usize| (0..4).map(|byte| product(4 * lane + byte)).sum::<i32>();
        Self(from_fn(|lane| self.0[lane].wrapping_add(four(lane))))
    }
}

/// One column of several rows: where each row has got to.
#[derive(Debug)]
pub struct Column<'a, const N: usize>([&'a [f32]; N], usize);

impl<const N: usize> Column<'_, N> {
    /// The row's value in every lane.
    #[inline(always)]
    pub fn splat(&self, row: usize) -> F32x4 {
        F32x4::splat(self.0[row][self.1])
    }
}

/// Calls `step` for each of `others`, in order, with the column of the same number of the `N` rows that `values` holds, one
/// every `stride`. Panics where a row has fewer values than there are others.
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
    /// The same two values in every pair of lanes: the second operand of [`I32x4::dot_i16`].
    #[inline(always)]
    pub fn splat_pair(pair: [i16; 2]) -> Self {
        Self(from_fn(|lane| pair[lane % 2]))
    }

    /// The first eight bytes, 0 to 255, widened. Panics where there are fewer.
    #[inline(always)]
    pub fn load_u8(values: &[u8]) -> Self {
        let values = &values[..8];
        Self(from_fn(|lane| values[lane].into()))
    }

    /// The first eight bytes, −128 to 127, widened. Panics where there are fewer.
    #[inline(always)]
    pub fn load_i8(values: &[i8]) -> Self {
        let values = &values[..8];
        Self(from_fn(|lane| values[lane].into()))
    }

    /// `self + other`, wrapping.
    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        self.zip(other, i16::wrapping_add)
    }

    /// `self − other`, wrapping.
    #[inline(always)]
    pub fn sub(self, other: Self) -> Self {
        self.zip(other, i16::wrapping_sub)
    }

    /// `self · other`, the low 16 bits.
    #[inline(always)]
    pub fn mul(self, other: Self) -> Self {
        self.zip(other, i16::wrapping_mul)
    }

    /// The bits that both have.
    #[inline(always)]
    pub fn and(self, other: Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    /// The low byte of each lane and the high one, −128 to 127.
    #[inline(always)]
    pub fn bytes(self) -> [Self; 2] {
        [Self(self.0.map(|lane| lane << 8 >> 8)), Self(self.0.map(|lane| lane >> 8))]
    }

    /// The same bits as bytes, each lane's low one first.
    #[inline(always)]
    pub fn as_i8(self) -> I8x16 {
        Lanes(from_fn(|byte| self.0[byte / 2].to_le_bytes()[byte % 2] as i8))
    }

    /// The whole products of lanes 0 to 3.
    #[inline(always)]
    pub fn mul_low(self, other: Self) -> I32x4 {
        Lanes(from_fn(|lane| i32::from(self.0[lane]).wrapping_mul(other.0[lane].into())))
    }

    /// The whole products of lanes 4 to 7.
    #[inline(always)]
    pub fn mul_high(self, other: Self) -> I32x4 {
        Lanes(from_fn(|lane| i32::from(self.0[lane + 4]).wrapping_mul(other.0[lane + 4].into())))
    }

    /// Lanes 0 to 3, widened.
    #[inline(always)]
    pub fn widen_low(self) -> I32x4 {
        Lanes(from_fn(|lane| self.0[lane].into()))
    }

    /// Lanes 4 to 7, widened.
    #[inline(always)]
    pub fn widen_high(self) -> I32x4 {
        Lanes(from_fn(|lane| self.0[lane + 4].into()))
    }

    /// The first two values in every pair of lanes: the second operand of [`I32x4::dot_i16`]. Panics where there
    /// are fewer.
    #[inline(always)]
    pub fn splat_two(values: &[i16]) -> Self {
        let values = &values[..2];
        Self(from_fn(|lane| values[lane % 2]))
    }

    /// `a₂ⱼ·b₂ⱼ + a₂ⱼ₊₁·b₂ⱼ₊₁` in lane `j`, over pairs of bytes. `b` must lie in 0 to 127; then no lane overflows,
    /// and every processor and every build gives the same bits.
    #[inline(always)]
    pub fn pairs_i8_i7(a: I8x16, b: I8x16) -> Self {
        let product = |index: usize| i16::from(a.0[index]) * i16::from(b.0[index]);
        Self(from_fn(|lane| product(2 * lane).wrapping_add(product(2 * lane + 1))))
    }

    /// `(self · factor + 2¹⁴) >> 15`: times a fraction of 2¹⁵, rounded. Right unless both are −32768.
    #[inline(always)]
    pub fn mul_q15(self, factor: Self) -> Self {
        let lane = |lane: usize| (i32::from(self.0[lane]) * i32::from(factor.0[lane]) + (1 << 14)) >> 15;
        Self(from_fn(|index| lane(index) as i16))
    }

    /// Sixteen bytes 0 to 127, `self` first; what does not fit becomes the nearest that does.
    #[inline(always)]
    pub fn narrow_u7(self, high: Self) -> U8x16 {
        let lane = |lane: usize| if lane < 8 { self.0[lane] } else { high.0[lane - 8] };
        Lanes(from_fn(|index| lane(index).clamp(0, 127) as u8))
    }

    /// Sixteen bytes 0 to 255, `self` first; what does not fit becomes the nearest that does.
    #[inline(always)]
    pub fn narrow_u8(self, high: Self) -> U8x16 {
        let lane = |lane: usize| if lane < 8 { self.0[lane] } else { high.0[lane - 8] };
        Lanes(from_fn(|index| lane(index).clamp(0, 255) as u8))
    }
}

impl I8x16 {
    /// The first four bytes, each 0 to 127, in every four lanes: the second operand of [`I32x4::dot_i8_i7`].
    /// Panics where there are fewer.
    #[inline(always)]
    pub fn splat_four(values: &[u8]) -> Self {
        let values = &values[..4];
        Self(from_fn(|lane| values[lane % 4] as i8))
    }

    /// The first eight values, even ones first, in the low lanes, zeros above. Panics where there are fewer.
    #[inline(always)]
    pub fn load_evens_first(values: &[i8]) -> Self {
        let values = &values[..8];
        Self(from_fn(|lane| if lane < 8 { values[2 * lane % 8 + lane / 4] } else { 0 }))
    }

    /// The first eight values in the low lanes, zeros above. Panics where there are fewer.
    #[inline(always)]
    pub fn load_low(values: &[i8]) -> Self {
        let values = &values[..8];
        Self(from_fn(|lane| if lane < 8 { values[lane] } else { 0 }))
    }

    /// Pairs of lanes `0 1 0' 1' … 6 7 6' 7'`.
    #[inline(always)]
    pub fn interleave_pairs_low(self, other: Self) -> Self {
        let from = |lane: usize| if lane % 4 < 2 { self.0 } else { other.0 };
        Self(from_fn(|lane| from(lane)[lane / 4 * 2 + lane % 2]))
    }

    /// Pairs of lanes `8 9 8' 9' … 14 15 14' 15'`.
    #[inline(always)]
    pub fn interleave_pairs_high(self, other: Self) -> Self {
        let from = |lane: usize| if lane % 4 < 2 { self.0 } else { other.0 };
        Self(from_fn(|lane| from(lane)[8 + lane / 4 * 2 + lane % 2]))
    }
}

/// Whether this machine computes [`I32x4::dot_i8_i7`] in one instruction: nothing here does.
pub fn dot_i8_i7_is_one_instruction() -> bool {
    false
}

impl U8x16 {
    /// The first eight values in the low lanes, zeros above. Panics where there are fewer.
    #[inline(always)]
    pub fn load_low(values: &[u8]) -> Self {
        let values = &values[..8];
        Self(from_fn(|lane| if lane < 8 { values[lane] } else { 0 }))
    }

    /// Writes lanes 0 to 7. Panics where there is less room.
    #[inline(always)]
    pub fn store_low(self, values: &mut [u8]) {
        values[..8].copy_from_slice(&self.0[..8]);
    }

    /// Writes lanes 8 to 15. Panics where there is less room.
    #[inline(always)]
    pub fn store_high(self, values: &mut [u8]) {
        values[..8].copy_from_slice(&self.0[8..]);
    }

    /// Writes lanes 0 to 3. Panics where there is less room.
    #[inline(always)]
    pub fn store_four(self, values: &mut [u8]) {
        values[..4].copy_from_slice(&self.0[..4]);
    }

    /// Writes lanes 4 to 7. Panics where there is less room.
    #[inline(always)]
    pub fn store_next_four(self, values: &mut [u8]) {
        values[..4].copy_from_slice(&self.0[4..8]);
    }

    /// Lanes 0 to 7, widened.
    #[inline(always)]
    pub fn widen_low(self) -> I16x8 {
        Lanes(from_fn(|lane| self.0[lane].into()))
    }

    /// Lanes 8 to 15, widened.
    #[inline(always)]
    pub fn widen_high(self) -> I16x8 {
        Lanes(from_fn(|lane| self.0[lane + 8].into()))
    }

    /// The same bits as signed bytes, for [`I32x4::dot_i8_i7`]: values must lie in 0 to 127.
    #[inline(always)]
    pub fn as_i7(self) -> I8x16 {
        Lanes(self.0.map(|value| value as i8))
    }
}
