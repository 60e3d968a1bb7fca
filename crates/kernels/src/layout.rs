//! Loops over plain numbers that reading a model file consists of: whoever waits for a network waits for these.
//!
//! Goes in: slices. Comes out: slices. They stand beside `shape`, for `formats` and `model` use them, and are compiled
//! with the kernels, for speed. Next: `formats` transposes with them, `model` folds and checks.

/// Memory that is filled here and may become a kernel's.
pub use crate::aligned::zeros;
use crate::simd::{self, F32x4};
use std::array::from_fn;

/// Rows that are transposed together, so that every line of the output is written in runs.
const TILE: usize = 16;

/// The position of the first NaN or infinity.
pub fn first_not_finite(values: &[f32]) -> Option<usize> {
    // Without its sign a float's bits are in the order of its size, infinity and NaN last.
    const INFINITE: u32 = f32::INFINITY.to_bits();
    let largest = values.iter().fold(0, |largest: u32, value| largest.max(value.to_bits() & !(1 << 31)));
    if largest < INFINITE { None } else { values.iter().position(|value| !value.is_finite()) }
}

/// Multiplies each column of `values` (rows of `factors.len()`) by its factor, in `f64`, and rounds.
pub fn scale_columns(values: &mut [f32], factors: &[f64]) {
    for row in values.chunks_exact_mut(factors.len().max(1)) {
        scale_row(row, factors);
    }
}

/// Multiplies each of as many rows of `values` as there are factors by its factor, in `f64`, and rounds.
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

/// A function by itself, as [`transpose_strip`] is: a browser that has optimised it meanwhile takes the new code from the
/// next call on, never within a loop.
#[inline(never)]
fn scale_row(row: &mut [f32], factors: &[f64]) {
    for (value, factor) in row.iter_mut().zip(factors) {
        *value = (f64::from(*value) * factor) as f32;
    }
}

/// `columns × rows` from `rows × columns`.
pub fn transpose(input: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut output = zeros(rows * columns);
    transpose_rows(&input[..rows * columns], columns, &mut output, rows);
    output
}

/// Rows of `columns` values become columns of `output`, whose rows have `rows` values and begin with the first's. In strips
/// of `TILE` rows: a plain double loop would touch a new line of memory for every element.
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

/// All whole fours of `columns` of `TILE` rows, into rows of `rows` values of which `output` begins with the first's.
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
    fn transposing_is_what_the_definition_says_for_every_small_size() {
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
    fn the_first_value_that_is_not_finite_is_found_wherever_it_is() {
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
