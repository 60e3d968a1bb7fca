//! Memory that begins on a cache line: one in four vector loads that do not would touch two lines.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line.
const LINE: usize = 64;

/// Values of which the first lies on a cache line. A clone is equal, but lies anywhere.
#[derive(Clone, Debug, Default)]
pub struct Aligned<T> {
    memory: Vec<T>,
    /// Values before the first cache line.
    start: usize,
}

/// Values in a cache line; as many may have to be left out before the first.
pub const fn line<T>() -> usize {
    LINE / size_of::<T>()
}

/// Zeros in memory that [`Aligned::within`] can take over as it is.
pub fn zeros<T: Copy + Default>(len: usize) -> Vec<T> {
    let mut values = vec![T::default(); len + line::<T>()];
    values.truncate(len);
    values
}

impl<T: Copy + Default> Aligned<T> {
    /// Zeros.
    pub fn zeros(len: usize) -> Self {
        Self::within(zeros(len), len)
    }

    /// Zeros, unless there is no memory for them.
    pub fn try_zeros(len: usize) -> Option<Self> {
        // Asked for once in vain: the memory that `zeros` takes cannot be refused, and filling it by hand takes longer.
        Vec::<T>::new().try_reserve_exact(len + line::<T>()).ok()?;
        Some(Self::zeros(len))
    }

    /// `len` values, whatever they are, in `memory`; somewhere else where that is too small for them (see [`zeros`]).
    pub fn within(memory: Vec<T>, len: usize) -> Self {
        Self::rearranged(memory, len, |_, _| ())
    }

    /// The same, after `rearrange` has had all of the memory, which still begins with what was in it, and the place in it
    /// where the first value will be.
    pub fn rearranged(mut memory: Vec<T>, len: usize, rearrange: impl FnOnce(&mut [T], usize)) -> Self {
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
    fn values_begin_on_a_cache_line() {
        for len in [0, 1, 15, 16, 17, 1000] {
            let floats = Aligned::<f32>::zeros(len);
            assert_eq!((floats.len(), floats.as_ptr().align_offset(LINE)), (len, 0));
            assert!(floats.iter().all(|&value| value == 0.0));
            assert_eq!(*Aligned::<f32>::try_zeros(len).unwrap(), *floats);
            let bytes = Aligned::within(vec![1_i8; len], len);
            assert_eq!((bytes.len(), bytes.as_ptr().align_offset(LINE)), (len, 0));
        }
    }

    #[test]
    fn memory_made_for_it_is_taken_over() {
        let memory = zeros::<f32>(1000);
        let before = memory.as_ptr_range();
        let values = Aligned::within(memory, 1000);
        assert!(values.as_ptr() >= before.start && values.as_ptr() < before.end);
    }
}
