//! Layout conversion for weights: transposition, per-channel scaling and a check for non-finite values.
//!
//! On the critical path of loading a model, so it lives in this crate and is compiled at its optimization level.

/// Zeroed memory that the kernels' `pack` functions reuse.
pub use crate::aligned::zeros;
use crate::simd::{self, F32x4};
use std::array::from_fn;

/// Rows that are transposed together, so that every row of the output is written in runs.
const TILE: usize = 16;

/// Returns the index of the first NaN or infinity.
pub fn first_not_finite(values: &[f32]) -> Option<usize> {
    // Without the sign, the bits of a float are ordered by magnitude, with infinity and NaN last. Comparing integers
    // keeps the loop free of branches.
    const INFINITE: u32 = f32::INFINITY.to_bits();
    let largest = values.iter().fold(0, |largest: u32, value| largest.max(value.to_bits() & !(1 << 31)));
    if largest < INFINITE { None } else { values.iter().position(|value| !value.is_finite()) }
}

/// Weights below this are set to zero: their products are subnormal, which x86 computes 25 to 90 times slower.
const TINY: f32 = 1e-30;

/// Sets weights below 1e-30 to zero.
pub fn flush_tiny(values: &mut [f32]) {
    // Without its sign a float's bits are in the order of its size; less one, zero is the largest of all.
    let bits = |value: &f32| (value.to_bits() & !(1 << 31)).wrapping_sub(1);
    let smallest = values.iter().fold(u32::MAX, |smallest, value| smallest.min(bits(value)));
    if smallest < TINY.to_bits() - 1 {
        for value in values.iter_mut().filter(|value| value.abs() < TINY) {
            *value = 0.0;
        }
    }
}

/// Multiplies each column of `values`, a row-major matrix of `factors.len()` columns, by its factor.
///
/// The product is computed in `f64` and rounded once.
pub fn scale_columns(values: &mut [f32], factors: &[f64]) {
    for row in values.chunks_exact_mut(factors.len().max(1)) {
        scale_row(row, factors);
    }
}

/// Multiplies each row of `values`, a row-major matrix of `factors.len()` rows, by its factor.
///
/// The product is computed in `f64` and rounded once.
pub fn scale_rows(values: &mut [f32], factors: &[f64]) {
    let length = values.len() / factors.len().max(1);
    for (row, factor) in values.chunks_exact_mut(length.max(1)).zip(factors) {
        scale_by(row, *factor);
    }
}

#[inline(never)]
fn scale_by(row: &mut [f32], factor: f64) {
    for value in row {
        *value = (f64::from(*value) * factor) as f32;
    }
}

// Not inlined, as `transpose_strip`: a browser switches to optimized code at the next call of a function, not inside of
// its loop.
#[inline(never)]
fn scale_row(row: &mut [f32], factors: &[f64]) {
    for (value, factor) in row.iter_mut().zip(factors) {
        *value = (f64::from(*value) * factor) as f32;
    }
}

/// Returns the transpose (`columns × rows`) of a row-major `rows × columns` matrix.
///
/// # Panics
///
/// If `input` has fewer than `rows · columns` values.
///
/// # Examples
///
/// ```
/// use mobilenet_kernels::layout::transpose;
///
/// assert_eq!(transpose(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
/// ```
pub fn transpose(input: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut output = zeros(rows * columns);
    transpose_rows(&input[..rows * columns], columns, &mut output, rows);
    output
}

/// Transposes the rows of `input`, of `columns` values each, into the first columns of `output`, whose rows have `rows`
/// values.
///
/// Works in strips of 16 rows: a plain double loop touches a new cache line for every element.
///
/// # Panics
///
/// If `columns` is 0 and `input` is not empty, or `output` is too short.
#[inline(never)]
pub fn transpose_rows(input: &[f32], columns: usize, output: &mut [f32], rows: usize) {
    let mut first = 0;
    for strip in input.chunks((TILE * columns).max(1)) {
        let output = &mut output[first..];
        let whole = if strip.len() == TILE * columns { columns / 4 * 4 } else { 0 };
        if whole > 0 {
            transpose_strip(strip, columns, output, rows);
        }
        for (row, values) in strip.chunks_exact(columns).enumerate() {
            for column in whole..columns {
                output[column * rows + row] = values[column];
            }
        }
        first += TILE;
    }
}

/// Transposes all whole groups of four columns of `TILE` rows.
#[inline(never)]
fn transpose_strip(input: &[f32], columns: usize, output: &mut [f32], rows: usize) {
    for column in (0..columns / 4 * 4).step_by(4) {
        for row in (0..TILE).step_by(4) {
            let four = from_fn(|next| F32x4::load(&input[(row + next) * columns + column..]));
            for (next, values) in simd::transpose(four).into_iter().enumerate() {
                values.store(&mut output[(column + next) * rows + row..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use crate::browser_test as test;

    #[test]
    fn transpose_matches_its_definition_for_small_sizes() {
        for rows in 1..40 {
            for columns in [1, 2, 4, 9, 16, 33] {
                let values: Vec<f32> = (0..rows * columns).map(|value| value as f32).collect();
                for (index, value) in transpose(&values, rows, columns).into_iter().enumerate() {
                    let (column, row) = (index / rows, index % rows);
                    assert_eq!(value, (row * columns + column) as f32, "{rows} × {columns} at {index}");
                }
            }
        }
    }

    #[test]
    fn weights_that_would_be_subnormal_are_zero() {
        let mut values = [0.0, -0.0, 1.0, -1e-31, 1e-40, 2e-30, -3.0, f32::MIN_POSITIVE, 1e-30];
        flush_tiny(&mut values);
        assert_eq!(values, [0.0, 0.0, 1.0, 0.0, 0.0, 2e-30, -3.0, 0.0, 1e-30]);
    }

    #[test]
    fn first_not_finite_finds_every_position() {
        for len in 0..40 {
            let mut values = vec![-f32::MAX; len];
            assert_eq!(first_not_finite(&values), None);
            for place in (0..len).rev() {
                values[place] = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY][place % 4];
                assert_eq!(first_not_finite(&values), Some(place));
            }
        }
    }
}
