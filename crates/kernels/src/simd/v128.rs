//! The vector types on WebAssembly's `v128`, with one instruction per operation: loads and stores.
//!
//! The only file of the crate with `unsafe` code. Intrinsics that access memory take pointers; here they get them from
//! references to arrays, so that `unsafe` relies on nothing but the validity of such a reference for 16 (8, 4, 2)
//! bytes. The intrinsics that stay in registers are safe, and are in `instructions`.

#![allow(unsafe_code)]

mod instructions;

use core::arch::wasm32::*;
pub use instructions::{Rounding, has_native_dot_i8};
use std::array::from_fn;

/// Loads a vector from an array of 16 bytes.
#[inline(always)]
fn load<T: Copy, const N: usize>(values: &[T; N]) -> v128 {
    const { assert!(size_of::<[T; N]>() == 16) };
    // SAFETY: the reference is valid for the 16 bytes read; v128.load needs no alignment.
    unsafe { v128_load(values.as_ptr().cast()) }
}

/// Stores a vector to an array of 16 bytes.
#[inline(always)]
fn store<T: Copy, const N: usize>(vector: v128, values: &mut [T; N]) {
    const { assert!(size_of::<[T; N]>() == 16) };
    // SAFETY: the reference is valid for the 16 bytes written, and any bits are a value of the integer and float
    // types this file calls it with; v128.store needs no alignment.
    unsafe { v128_store(values.as_mut_ptr().cast(), vector) }
}

/// Returns the first `N` values.
#[inline(always)]
fn head<T, const N: usize>(values: &[T]) -> &[T; N] {
    values.first_chunk().expect("a vector's worth of values")
}

/// Returns the first `N` values.
#[inline(always)]
fn head_mut<T, const N: usize>(values: &mut [T]) -> &mut [T; N] {
    values.first_chunk_mut().expect("a vector's worth of values")
}

/// Defines a vector type with its loads and stores.
macro_rules! vector {
    ($(#[$doc:meta])* $name:ident, [$lane:ty; $lanes:literal], $splat:ident, $equal:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        #[repr(transparent)]
        pub struct $name(v128);

        impl $name {
            /// Copies `value` to every lane.
            #[inline(always)]
            pub fn splat(value: $lane) -> Self {
                Self($splat(value))
            }

            #[doc = concat!("Loads the first ", $lanes, " values.")]
            #[inline(always)]
            pub fn load(values: &[$lane]) -> Self {
                Self(load(head::<$lane, $lanes>(values)))
            }

            #[doc = concat!("Stores to the first ", $lanes, " values.")]
            #[inline(always)]
            pub fn store(self, values: &mut [$lane]) {
                store(self.0, head_mut::<$lane, $lanes>(values));
            }

            /// Returns the lanes as an array.
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

vector! {
    /// Four floats.
    F32x4, [f32; 4], f32x4_splat, f32x4_eq
}

vector! {
    /// Four 32-bit integers.
    I32x4, [i32; 4], i32x4_splat, i32x4_eq
}

vector! {
    /// Eight 16-bit integers.
    I16x8, [i16; 8], i16x8_splat, i16x8_eq
}

impl I16x8 {
    /// Loads the first eight bytes, 0 to 255, and widens them.
    #[inline(always)]
    pub fn load_u8(values: &[u8]) -> Self {
        let values: &[u8; 8] = head(values);
        // SAFETY: the reference is valid for the 8 bytes read, at any alignment.
        Self(unsafe { u16x8_load_extend_u8x8(values.as_ptr()) })
    }

    /// Loads the first eight bytes, −128 to 127, and widens them.
    #[inline(always)]
    pub fn load_i8(values: &[i8]) -> Self {
        let values: &[i8; 8] = head(values);
        // SAFETY: the reference is valid for the 8 bytes read, at any alignment.
        Self(unsafe { i16x8_load_extend_i8x8(values.as_ptr()) })
    }

    /// Loads the first two values to every pair of lanes: the second operand of [`I32x4::dot_i16`].
    #[inline(always)]
    pub fn splat_two(values: &[i16]) -> Self {
        let values: &[i16; 2] = head(values);
        // SAFETY: the reference is valid for the 4 bytes read, at any alignment.
        Self(unsafe { v128_load32_splat(values.as_ptr().cast()) })
    }
}

vector! {
    /// Sixteen signed bytes.
    I8x16, [i8; 16], i8x16_splat, i8x16_eq
}

impl I8x16 {
    /// Loads the first four bytes, each 0 to 127, to every four lanes: the second operand of [`I32x4::dot_i8_i7`].
    #[inline(always)]
    pub fn splat_four(values: &[u8]) -> Self {
        let values: &[u8; 4] = head(values);
        // SAFETY: the reference is valid for the 4 bytes read, at any alignment.
        Self(unsafe { v128_load32_splat(values.as_ptr().cast()) })
    }

    /// Loads the first eight values to the low lanes, the even ones first, with zeros above.
    #[inline(always)]
    pub fn load_evens_first(values: &[i8]) -> Self {
        let values = Self::load_low(values).0;
        Self(i8x16_shuffle::<0, 2, 4, 6, 1, 3, 5, 7, 8, 8, 8, 8, 8, 8, 8, 8>(values, values))
    }

    /// Loads the first eight values to the low lanes, with zeros above.
    #[inline(always)]
    pub fn load_low(values: &[i8]) -> Self {
        let values: &[i8; 8] = head(values);
        // SAFETY: the reference is valid for the 8 bytes read, at any alignment.
        Self(unsafe { v128_load64_zero(values.as_ptr().cast()) })
    }
}

vector! {
    /// Sixteen unsigned bytes.
    U8x16, [u8; 16], u8x16_splat, u8x16_eq
}

impl U8x16 {
    /// Loads the first eight values to the low lanes, with zeros above.
    #[inline(always)]
    pub fn load_low(values: &[u8]) -> Self {
        let values: &[u8; 8] = head(values);
        // SAFETY: the reference is valid for the 8 bytes read, at any alignment.
        Self(unsafe { v128_load64_zero(values.as_ptr().cast()) })
    }

    /// Stores lanes 0 to 7.
    #[inline(always)]
    pub fn store_low(self, values: &mut [u8]) {
        let values: &mut [u8; 8] = head_mut(values);
        // SAFETY: the reference is valid for the 8 bytes written, at any alignment.
        unsafe { v128_store64_lane::<0>(self.0, values.as_mut_ptr().cast()) }
    }

    /// Stores lanes 8 to 15.
    #[inline(always)]
    pub fn store_high(self, values: &mut [u8]) {
        let values: &mut [u8; 8] = head_mut(values);
        // SAFETY: the reference is valid for the 8 bytes written, at any alignment.
        unsafe { v128_store64_lane::<1>(self.0, values.as_mut_ptr().cast()) }
    }

    /// Stores lanes 0 to 3.
    #[inline(always)]
    pub fn store_four(self, values: &mut [u8]) {
        let values: &mut [u8; 4] = head_mut(values);
        // SAFETY: the reference is valid for the 4 bytes written, at any alignment.
        unsafe { v128_store32_lane::<0>(self.0, values.as_mut_ptr().cast()) }
    }

    /// Stores lanes 4 to 7.
    #[inline(always)]
    pub fn store_next_four(self, values: &mut [u8]) {
        let values: &mut [u8; 4] = head_mut(values);
        // SAFETY: the reference is valid for the 4 bytes written, at any alignment.
        unsafe { v128_store32_lane::<1>(self.0, values.as_mut_ptr().cast()) }
    }
}

/// One column of several rows: a pointer to each row, and the offset of the column.
#[derive(Debug)]
pub struct Column<const N: usize>([*const f32; N], usize);

impl<const N: usize> Column<N> {
    /// Copies the row's value in this column to every lane.
    #[inline(always)]
    pub fn splat(&self, row: usize) -> F32x4 {
        // SAFETY: only `columns` creates columns, and keeps the pointers and the offset within the rows while one is
        // lent.
        unsafe { F32x4(v128_load32_splat(self.0[row].add(self.1).cast())) }
    }

    /// Advances all pointers by `columns`.
    #[inline(always)]
    fn advance(&mut self, columns: usize) {
        // SAFETY: `columns` advances by no more than the length of a row, which leads to another column or one past the
        // last.
        self.0 = self.0.map(|value| unsafe { value.add(columns) });
        self.1 = 0;
    }
}

/// Calls `step` for each of `others` with the column of the same index of `N` rows.
///
/// `values` holds the rows, one every `stride` values.
///
/// Every row has a pointer of its own, because V8 does not fold scaled addresses into the load, and four columns share
/// one update of the pointers: on a narrow core, or one shared with another thread, each instruction besides the
/// multiply-adds and their loads costs time. Early exits between the four, never taken but hidden from LLVM by
/// `black_box`, keep it from hoisting the loads of all four and spilling half of them.
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
    // SAFETY: `values` has N rows of `stride` values, as asserted above.
    let mut column = Column(from_fn(|row| unsafe { values.as_ptr().add(row * stride) }), 0);
    let (fours, rest) = others.as_chunks::<4>();
    let mut left = std::hint::black_box(others.len());
    for four in fours {
        for (at, other) in four.iter().enumerate() {
            column.1 = at;
            step(&column, other);
            // After the fourth, the end of the loop decides.
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
