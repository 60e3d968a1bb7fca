//! Vectors whose first element starts a cache line.
//!
//! Packed weights and feature maps live in [`Aligned`] memory: at any other alignment one 16-byte load in four touches
//! two cache lines.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line.
const LINE: usize = 64;

/// A vector whose first element starts a cache line.
///
/// Dereferences to a slice. A clone holds the same values, but at any alignment.
#[derive(Clone, Debug, Default)]
pub struct Aligned<T> {
    memory: Vec<T>,
    /// Elements before the first cache line.
    start: usize,
}

/// Elements in a cache line; up to as many are skipped at the start of a buffer.
pub const fn line<T>() -> usize {
    LINE / size_of::<T>()
}

/// Allocates `len` zeros with enough capacity for [`Aligned::from_vec`] to reuse the buffer.
pub fn zeros<T: Copy + Default>(len: usize) -> Vec<T> {
    let mut values = vec![T::default(); len + line::<T>()];
    values.truncate(len);
    values
}

impl<T: Copy + Default> Aligned<T> {
    /// Allocates `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Self::from_vec(zeros(len), len)
    }

    /// Allocates `len` zeros, or returns `None` if the memory is not available.
    pub fn try_zeros(len: usize) -> Option<Self> {
        // A trial reservation: `zeros` cannot report failure, and filling a reserved vector takes longer than a zeroed
        // allocation.
        Vec::<T>::new().try_reserve_exact(len + line::<T>()).ok()?;
        Some(Self::zeros(len))
    }

    /// Converts `memory` into `len` elements with unspecified values, in place if its capacity suffices (see
    /// [`zeros`]).
    pub fn from_vec(memory: Vec<T>, len: usize) -> Self {
        Self::from_vec_with(memory, len, |_, _| ())
    }

    /// Converts `memory` into `len` elements, which `rearrange` writes.
    ///
    /// `rearrange` receives the whole buffer, which still starts with the elements of `memory`, and the index that the
    /// first element of the result will have in it.
    pub fn from_vec_with(mut memory: Vec<T>, len: usize, rearrange: impl FnOnce(&mut [T], usize)) -> Self {
        memory.resize(len + line::<T>(), T::default());
        let start = memory.as_ptr().align_offset(LINE).min(line::<T>());
        memory.truncate(start + len);
        rearrange(&mut memory, start);
        Self { memory, start }
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory[self.start..]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use crate::browser_test as test;

    #[test]
    fn values_start_on_a_cache_line() {
        for len in [0, 1, 15, 16, 17, 1000] {
            let floats = Aligned::<f32>::zeros(len);
            assert_eq!((floats.len(), floats.as_ptr().align_offset(LINE)), (len, 0));
            assert!(floats.iter().all(|&value| value == 0.0));
            assert_eq!(*Aligned::<f32>::try_zeros(len).unwrap(), *floats);
            let bytes = Aligned::from_vec(vec![1_i8; len], len);
            assert_eq!((bytes.len(), bytes.as_ptr().align_offset(LINE)), (len, 0));
        }
    }

    #[test]
    fn from_vec_reuses_memory_from_zeros() {
        let memory = zeros::<f32>(1000);
        let before = memory.as_ptr_range();
        let values = Aligned::from_vec(memory, 1000);
        assert!(values.as_ptr() >= before.start && values.as_ptr() < before.end);
    }
}
