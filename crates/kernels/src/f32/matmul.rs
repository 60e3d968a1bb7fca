//! Matrix products over blocks of rows, for training: `A·B`, `A·Bᵀ` (the same, with `B` packed transposed) and
//! `C += Aᵀ·B`.
//!
//! ```text
//! multiply:               for r, n, k: c[r][n]  = Σ a[r][k] · b[k][n]
//! accumulate_transposed:  for r, k, n: c[k][n] += a[r][k] · b[r][n]
//! ```
//!
//! [`backward`](super::backward)'s pointwise and standard convolutions call these with blocks of some hundred rows that
//! stay in the cache, and with weights that are packed anew for every step. Inference has its own kernels, packed once
//! and tuned for one image.

use super::lanes::mul_add;
use crate::aligned::Aligned;
use std::array::from_fn;

/// Columns of a tile: two vectors, of `v128` on wasm and of the widest registers natively.
pub const COLUMNS: usize = if cfg!(target_arch = "wasm32") { 8 } else { 16 };
/// Rows of a tile: as many as keep every accumulator in a register.
const ROWS: usize = if cfg!(target_arch = "wasm32") { 4 } else { 6 };

/// A `k × n` matrix packed in panels of [`COLUMNS`] columns, the last padded with zeros.
#[derive(Clone, Debug, Default)]
pub struct PackedMatrix {
    k: usize,
    n: usize,
    panels: Aligned<f32>,
}

impl PackedMatrix {
    /// Packs the row-major `k × n` matrix `values`, reusing the buffer if the size is the same.
    pub fn pack(&mut self, k: usize, n: usize, values: &[f32]) {
        self.resize(k, n);
        for (panel, first) in self.panels.chunks_exact_mut(k * COLUMNS).zip((0..n).step_by(COLUMNS)) {
            let width = COLUMNS.min(n - first);
            for (line, row) in panel.chunks_exact_mut(COLUMNS).zip(values.chunks_exact(n)) {
                line[..width].copy_from_slice(&row[first..first + width]);
            }
        }
    }

    /// Packs the transpose of the row-major `n × k` matrix `values`, so that [`multiply`] computes `A·valuesᵀ`.
    pub fn pack_transposed(&mut self, k: usize, n: usize, values: &[f32]) {
        self.resize(k, n);
        for (panel, first) in self.panels.chunks_exact_mut(k * COLUMNS).zip((0..n).step_by(COLUMNS)) {
            let width = COLUMNS.min(n - first);
            for (column, row) in values[first * k..].chunks_exact(k).take(width).enumerate() {
                for (line, &value) in panel.chunks_exact_mut(COLUMNS).zip(row) {
                    line[column] = value;
                }
            }
        }
    }

    fn resize(&mut self, k: usize, n: usize) {
        if (self.k, self.n) != (k, n) {
            (self.k, self.n) = (k, n);
            self.panels = Aligned::zeros(k * n.next_multiple_of(COLUMNS));
        }
    }
}

/// Returns the row stride for a block of `n` columns: whole tiles, and never a power of two, at which all rows would
/// share a few cache sets.
pub const fn stride(n: usize) -> usize {
    n.next_multiple_of(COLUMNS) + COLUMNS
}

/// Returns the number of rows of a block, such that blocks of `k` and of `n` columns together stay in the second-level
/// cache.
pub const fn block_rows(k: usize, n: usize) -> usize {
    let rows = (192 * 1024 / 4) / (k + n);
    let rows = if rows > 192 {
        192
    } else if rows < 48 {
        48
    } else {
        rows
    };
    rows / 12 * 12
}

/// Computes `c = a·b` for `rows` rows of `a` and `c`, with the row strides `a_stride` and `c_stride`.
///
/// Columns of `c` beyond those of `b` are not written.
///
/// # Panics
///
/// If `a` or `c` has fewer than `rows` rows, or a stride is shorter than a row.
///
/// # Examples
///
/// ```
/// use mobilenet_kernels::f32::matmul::{PackedMatrix, multiply};
///
/// let mut b = PackedMatrix::default();
/// b.pack(2, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// let mut c = [0.0; 3];
/// multiply(1, &[1.0, 10.0], 2, &b, &mut c, 3);
/// assert_eq!(c, [41.0, 52.0, 63.0]);
/// ```
pub fn multiply(rows: usize, a: &[f32], a_stride: usize, b: &PackedMatrix, c: &mut [f32], c_stride: usize) {
    let (k, n) = (b.k, b.n);
    for (panel, first) in b.panels.chunks_exact(k * COLUMNS).zip((0..n).step_by(COLUMNS)) {
        let (a, c) = ((a, a_stride), (&mut c[first..], c_stride));
        match n - first {
            width @ 1..COLUMNS => columns::<false>(rows, a, panel, k, c, width),
            _ => columns::<true>(rows, a, panel, k, c, COLUMNS),
        }
    }
}

/// Computes one panel's columns of `a·b`; `a` and `c` are (slice, row stride). `FULL` makes a width of [`COLUMNS`] a
/// constant: with a variable width LLVM copies the sums through memory.
fn columns<const FULL: bool>(
    rows: usize,
    a: (&[f32], usize),
    panel: &[f32],
    k: usize,
    c: (&mut [f32], usize),
    width: usize,
) {
    let mut row = 0;
    while row < rows {
        let (a, stride) = (&a.0[row * a.1..], a.1);
        let c = (&mut c.0[row * c.1..], c.1);
        if row + ROWS <= rows {
            store::<ROWS, FULL>(&tile(a, stride, panel, k), c, width);
            row += ROWS;
        } else {
            store::<1, FULL>(&tile(a, stride, panel, k), c, width);
            row += 1;
        }
    }
}

/// Computes one tile of `a·b`.
///
/// Four steps along `k` share their addresses, so that few instructions are issued besides the multiply-adds; on a core
/// shared with another thread this is 1.4 times as fast. Early exits between them, never taken but hidden from LLVM by
/// `black_box`, keep it from hoisting the loads of all four steps and spilling sums. A row that is too short ends the
/// loop instead of panicking: with a panic in the loop LLVM may write all sums to memory in every iteration, which
/// doubles the time.
#[inline(always)]
fn tile<const M: usize>(a: &[f32], stride: usize, panel: &[f32], k: usize) -> [[f32; COLUMNS]; M] {
    let mut sums = [[0.0; COLUMNS]; M];
    let mut step = |factors: [f32; M], b: &[f32; COLUMNS]| {
        for (sums, factor) in sums.iter_mut().zip(factors) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = mul_add(factor, *b, *sum);
            }
        }
    };
    let rows: [(&[[f32; 4]], &[f32]); M] = from_fn(|row| a[row * stride..][..k].as_chunks());
    let (fours, rest) = panel.as_chunks::<COLUMNS>().0.as_chunks::<4>();
    let mut values = rows.map(|(fours, _)| fours.iter());
    let mut left = std::hint::black_box(k);
    'unrolled: for b in fours {
        let mut factors = [&[0.0; 4]; M];
        for (factors, values) in factors.iter_mut().zip(&mut values) {
            let Some(four) = values.next() else { break 'unrolled };
            *factors = four;
        }
        step(factors.map(|factors| factors[0]), &b[0]);
        if left <= 1 {
            break;
        }
        step(factors.map(|factors| factors[1]), &b[1]);
        if left <= 2 {
            break;
        }
        step(factors.map(|factors| factors[2]), &b[2]);
        if left <= 3 {
            break;
        }
        step(factors.map(|factors| factors[3]), &b[3]);
        left -= 4;
    }
    let mut values = rows.map(|(_, rest)| rest.iter());
    'rest: for b in rest {
        let mut factors = [0.0; M];
        for (factor, values) in factors.iter_mut().zip(&mut values) {
            let Some(value) = values.next() else { break 'rest };
            *factor = *value;
        }
        step(factors, b);
    }
    sums
}

#[inline(always)]
fn store<const M: usize, const FULL: bool>(sums: &[[f32; COLUMNS]; M], c: (&mut [f32], usize), width: usize) {
    for (row, sums) in sums.iter().enumerate() {
        let line = &mut c.0[row * c.1..];
        match line.first_chunk_mut() {
            Some(line) if FULL => *line = *sums,
            _ => line[..width].copy_from_slice(&sums[..width]),
        }
    }
}

/// Computes `c += aᵀ·b` over `rows` rows of `a` and `b`.
///
/// `a` has `k` columns and row stride `a_stride`; `b` has `n` columns and row stride `b_stride`, which must be
/// [`stride`]`(n)`, with finite values from column `n` on. `c` is a dense `k × n` matrix.
///
/// # Panics
///
/// If `a` or `b` has fewer than `rows` rows, or `c` is shorter than `k · n`.
#[allow(clippy::too_many_arguments)]
pub fn accumulate_transposed(
    rows: usize,
    a: &[f32],
    a_stride: usize,
    k: usize,
    b: &[f32],
    b_stride: usize,
    n: usize,
    c: &mut [f32],
) {
    let (a, b) = (&a[..rows * a_stride], &b[..rows * b_stride]);
    for first in (0..n).step_by(COLUMNS) {
        let (a, b, c) = ((a, a_stride), (b, b_stride, first), (&mut c[first..], n));
        match n - first {
            width @ 1..COLUMNS => columns_transposed::<false>(a, k, b, c, width),
            _ => columns_transposed::<true>(a, k, b, c, COLUMNS),
        }
    }
}

/// Computes [`COLUMNS`] columns of `aᵀ·b`, like [`columns`].
fn columns_transposed<const FULL: bool>(
    a: (&[f32], usize),
    k: usize,
    b: (&[f32], usize, usize),
    c: (&mut [f32], usize),
    width: usize,
) {
    let mut row = 0;
    while row < k {
        let a = (a.0, a.1, row);
        let c = (&mut c.0[row * c.1..], c.1);
        // Eight rows are two tiles of four: of six and two, the second has too few sums to hide latency.
        let left = k - row;
        let height = if left >= ROWS && left != 8 {
            add::<ROWS, FULL>(&tile_transposed(a, b), c, width);
            ROWS
        } else if left >= 4 {
            add::<4, FULL>(&tile_transposed(a, b), c, width);
            4
        } else if left >= 2 {
            add::<2, FULL>(&tile_transposed(a, b), c, width);
            2
        } else {
            add::<1, FULL>(&tile_transposed(a, b), c, width);
            1
        };
        row += height;
    }
}

/// Computes one tile of `aᵀ·b`; each operand is (slice, row stride, first column).
#[inline(always)]
fn tile_transposed<const M: usize>(
    a: (&[f32], usize, usize),
    b: (&[f32], usize, usize),
) -> [[f32; COLUMNS]; M] {
    let mut sums = [[0.0; COLUMNS]; M];
    for (a_row, b_row) in a.0.chunks_exact(a.1).zip(b.0.chunks_exact(b.1)) {
        let (Some(factors), Some(values)) =
            (a_row[a.2..].first_chunk::<M>(), b_row[b.2..].first_chunk::<COLUMNS>())
        else {
            break;
        };
        for row in 0..M {
            for column in 0..COLUMNS {
                sums[row][column] = mul_add(factors[row], values[column], sums[row][column]);
            }
        }
    }
    sums
}

#[inline(always)]
fn add<const M: usize, const FULL: bool>(sums: &[[f32; COLUMNS]; M], c: (&mut [f32], usize), width: usize) {
    for (row, sums) in sums.iter().enumerate() {
        let line = &mut c.0[row * c.1..];
        let width = if FULL { COLUMNS } else { width };
        for (value, sum) in line[..width].iter_mut().zip(sums) {
            *value += sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use crate::browser_test as test;

    fn values(count: usize, seed: u32) -> Vec<f32> {
        let value = |index: usize| {
            let hash = (index as u32).wrapping_add(seed).wrapping_mul(2_654_435_761) >> 16;
            f32::from(hash as u16) / 32768.0 - 1.0
        };
        (0..count).map(value).collect()
    }

    #[test]
    fn products_agree_with_naive_loops_at_awkward_sizes() {
        for (rows, k, n) in [(1, 1, 1), (5, 3, 7), (13, 27, 16), (12, 7, 33), (31, 17, 40), (4, 64, 48)] {
            let (a_stride, b_stride) = (stride(k), stride(n));
            let (a, w) = (values(rows * a_stride, 1), values(k * n, 2));
            let (mut packed, mut packed_transposed) = (PackedMatrix::default(), PackedMatrix::default());
            packed.pack(k, n, &w);
            let transposed: Vec<f32> = (0..k * n).map(|i| w[(i % k) * n + i / k]).collect();
            packed_transposed.pack_transposed(k, n, &transposed);
            let mut c = vec![0.0; rows * b_stride];
            let mut same = c.clone();
            multiply(rows, &a, a_stride, &packed, &mut c, b_stride);
            multiply(rows, &a, a_stride, &packed_transposed, &mut same, b_stride);
            assert_eq!(c, same);
            let mut gradient = vec![1.0; k * n];
            accumulate_transposed(rows, &a, a_stride, k, &c, b_stride, n, &mut gradient);
            for column in 0..n {
                for r in 0..rows {
                    let sum: f64 =
                        (0..k).map(|i| f64::from(a[r * a_stride + i]) * f64::from(w[i * n + column])).sum();
                    assert!((f64::from(c[r * b_stride + column]) - sum).abs() < 1e-5, "{rows} {k} {n}");
                }
                for i in 0..k {
                    let sum: f64 = (0..rows)
                        .map(|r| f64::from(a[r * a_stride + i]) * f64::from(c[r * b_stride + column]))
                        .sum();
                    assert!((f64::from(gradient[i * n + column]) - 1.0 - sum).abs() < 1e-4);
                }
            }
        }
    }
}
