//! Antialiased bilinear resampling with a triangle filter that widens when it shrinks, as in PIL and the `image` crate:
//! separable, row by row, straight into the network's input.
//!
//! ```text
//! for each row of the result:
//!     sums = Σ weight · row of the frame                (a few rows, all columns of the window)
//!     for each column: Σ weight · sums, normalized, stored where rotation and mirror put it
//! ```
//!
//! Rows are summed in integers and columns in `f32` in a fixed order, so all builds give the same bits. Vertical first: the
//! rows of the frame are read in order, sixteen bytes at a time, and only one row of sums is kept between the two
//! directions. The weights of rows are rounded to 14 bits so that they still sum to one; the error of `t` of them is at most
//! `t · 255 / 2¹⁵` of a byte's step, a fiftieth when a frame is halved.

use super::window::Placement;
use super::{Frame, ImageOptions, Window};
use crate::architecture::{ChannelOrder, Normalization};
use crate::{Error, Input, Result};
use mobilenet_kernels::f32::resample::{self, Colors};
use mobilenet_kernels::simd::F32x4;

/// Weights of one direction: result `i` is `Σ weights[i · taps + t] · source[first[i] + t]`.
#[derive(Debug, Default)]
struct Taps {
    first: Vec<u32>,
    weights: Vec<f32>,
    taps: usize,
}

impl Taps {
    /// From `length` units that begin at `start` to `count` results; source pixels are 0 to `pixels − 1`. All results
    /// have as many taps as the widest, the rest with weight 0, and none reads beyond the source.
    fn fill(&mut self, start: f64, length: f64, pixels: usize, count: usize) {
        let scale = length / count as f64;
        let support = scale.max(1.0); // the triangle's half width
        // Pixel p counts where its middle, p + 0.5, lies strictly within the triangle.
        let reach = |centre: f64| {
            let low = ((centre - support - 0.5).floor() + 1.0).max(0.0) as usize;
            let low = low.min(pixels - 1);
            let high = (centre + support - 0.5).ceil().max(0.0) as usize;
            (low, high.clamp(low + 1, pixels))
        };
        let centre = |index: usize| start + (index as f64 + 0.5) * scale;
        let width = |index| {
            let (low, high) = reach(centre(index));
            high - low
        };
        self.taps = (0..count).map(width).max().unwrap_or(1);
        self.first.clear();
        self.weights.clear();
        self.weights.resize(count * self.taps, 0.0);
        for (index, row) in self.weights.chunks_exact_mut(self.taps).enumerate() {
            let (low, high) = reach(centre(index));
            let first = low.min(pixels - self.taps);
            let weight = |pixel: usize| {
                let distance = (pixel as f64 + 0.5 - centre(index)).abs() / support;
                (1.0 - distance).max(0.0)
            };
            let sum: f64 = (low..high).map(weight).sum();
            for pixel in low..high {
                // A window thinner than a pixel may lie so that no centre is within reach of the triangle.
                let share = if sum > 0.0 { weight(pixel) / sum } else { 1.0 / (high - low) as f64 };
                row[pixel - first] = share as f32;
            }
            self.first.push(first as u32);
        }
    }
}

/// What the tables were made for.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Geometry {
    width: usize,
    height: usize,
    side: usize,
    options: ImageOptions,
}

/// Resizes frames; keeps its tables and its one row, so that frames of the same geometry allocate nothing.
#[derive(Debug, Default)]
pub struct Resizer {
    geometry: Option<Geometry>,
    placement: Option<Placement>,
    across: Taps,
    down: Taps,
    /// The weights of `down` in integers, two by two.
    pairs: Vec<[i16; 2]>,
    sums: Vec<[i32; 4]>,
}

impl Resizer {
    /// A resizer without tables; the first frame makes them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes what `options` show of `frame` into a square of `side` pixels.
    ///
    /// # Errors
    /// A region outside the frame, a side of 0, or a target that does not hold `side · side · 3` values.
    pub fn resize(
        &mut self,
        frame: &Frame,
        options: &ImageOptions,
        side: usize,
        normalization: &Normalization,
        target: Input,
    ) -> Result<()> {
        let window = Window::new(frame.width(), frame.height(), options)?;
        let seen = window.pixels(frame.width(), frame.height());
        let stride = frame.width() * 4;
        let start = seen.y * stride + seen.x * 4;
        let size = (frame.width(), frame.height());
        self.resample(&frame.data()[start..], stride, size, options, side, normalization, target)
    }

    /// The same where only the [`Window::pixels`] were fetched of a frame of `size` (width, height): `cut` holds them
    /// and nothing else.
    ///
    /// # Errors
    /// As [`Resizer::resize`]; and [`Error::frame`] if `cut` has another size than the window's pixels.
    pub fn resize_cut(
        &mut self,
        cut: &Frame,
        size: (usize, usize),
        options: &ImageOptions,
        side: usize,
        normalization: &Normalization,
        target: Input,
    ) -> Result<()> {
        let seen = Window::new(size.0, size.1, options)?.pixels(size.0, size.1);
        if (cut.width(), cut.height()) != (seen.width, seen.height) {
            return Err(Error::frame(format!(
                "the window is {}×{} pixels large, and {}×{} were given",
                seen.width,
                seen.height,
                cut.width(),
                cut.height()
            )));
        }
        self.resample(cut.data(), cut.width() * 4, size, options, side, normalization, target)
    }

    /// `data` begins at the window's first pixel and has `stride` bytes from row to row.
    #[allow(clippy::too_many_arguments)] // private, and every argument is a different thing
    fn resample(
        &mut self,
        data: &[u8],
        stride: usize,
        (width, height): (usize, usize),
        options: &ImageOptions,
        side: usize,
        normalization: &Normalization,
        mut target: Input,
    ) -> Result<()> {
        if side == 0 || target.len() != side * side * 3 {
            return Err(Error::argument(format!(
                "the target holds {} values, and {side}×{side} pixels take {}",
                target.len(),
                side * side * 3
            )));
        }
        let placement = self.prepare(Geometry { width, height, side, options: *options })?;
        let colors = colors(normalization);
        if placement.columns * placement.rows < side * side {
            fill_bars(&mut target, &colors);
        }
        // Frames of the network's size: a copied row overwrites what follows it, which the next row writes again, where there is
        // one and it lies below.
        let copied = self.across.taps == 1
            && self.down.taps == 1
            && self.sums.len() == placement.columns
            && placement.columns == side
            && side.is_multiple_of(4);
        for row in 0..placement.rows {
            let (taps, first) = (self.down.taps, self.down.first[row] as usize);
            let pairs = taps.div_ceil(2);
            let weights = &self.pairs[row * pairs..][..pairs];
            let data = &data[first * stride..];
            // A row of the result lies along a row or a column of the target, forwards or backwards.
            let start = placement.pixel(0, row);
            let step = placement.pixel(1.min(placement.columns - 1), row).wrapping_sub(start).wrapping_mul(3);
            let place = (start * 3, step);
            let below = row + 1 < placement.rows && placement.pixel(0, row + 1) > start;
            if copied && step == 3 && below {
                let row = &data[..4 * placement.columns];
                match &mut target {
                    Input::F32(values) if !colors.swapped => {
                        resample::copy_row_f32(row, &colors, &mut values[start * 3..]);
                        continue;
                    }
                    Input::U8(values) => {
                        resample::copy_row_u8(row, &mut values[start * 3..]);
                        continue;
                    }
                    Input::F32(_) => {}
                }
            }
            resample::sum_rows(data, stride, taps, weights, &mut self.sums);
            let Taps { first, weights, .. } = &self.across;
            match &mut target {
                Input::F32(values) => {
                    resample::sum_columns_f32(&self.sums, weights, first, &colors, place, values);
                }
                Input::U8(values) => resample::sum_columns_u8(&self.sums, weights, first, place, values),
            }
        }
        Ok(())
    }

    /// Makes the tables for a geometry, unless they are there.
    fn prepare(&mut self, geometry: Geometry) -> Result<Placement> {
        if let (Some(known), Some(placement)) = (self.geometry, self.placement)
            && known == geometry
        {
            return Ok(placement);
        }
        self.geometry = None;
        let Geometry { width, height, side, options } = geometry;
        let window = Window::new(width, height, &options)?;
        let seen = window.pixels(width, height);
        let placement = Placement::new(&window, side, &options);
        self.across.fill(window.left - seen.x as f64, window.width, seen.width, placement.columns);
        self.down.fill(window.top - seen.y as f64, window.height, seen.height, placement.rows);
        self.pairs.clear();
        self.pairs.extend(self.down.weights.chunks(self.down.taps).flat_map(in_pairs));
        // What the rows are too large by.
        self.across.weights.iter_mut().for_each(|weight| *weight /= f32::from(resample::ONE));
        self.sums.clear();
        self.sums.resize(seen.width, [0; 4]);
        self.placement = Some(placement);
        self.geometry = Some(geometry);
        Ok(placement)
    }
}

/// The weights of a result in parts of [`resample::ONE`]. Each is what the sum up to it grows by, so that they sum to one.
fn in_pairs(weights: &[f32]) -> impl Iterator<Item = [i16; 2]> {
    let mut sum = 0.0;
    let mut part = move |weight: &f32| {
        let rounded = |sum: f32| (sum * f32::from(resample::ONE)).round_ties_even() as i16;
        let before = rounded(sum);
        sum += weight;
        rounded(sum) - before
    };
    weights.chunks(2).map(move |pair| [part(&pair[0]), pair.get(1).map_or(0, &mut part)])
}

/// The normalization, laid out as a pixel is.
fn colors(normalization: &Normalization) -> Colors {
    let swapped = normalization.order == ChannelOrder::Bgr;
    let lay = |[a, b, c]: [f32; 3], rest| if swapped { [c, b, a, rest] } else { [a, b, c, rest] };
    Colors { mean: lay(normalization.mean, 0.0), deviation: lay(normalization.deviation, 1.0), swapped }
}

/// Everything that the window does not cover: 0 once normalized.
fn fill_bars(target: &mut Input, colors: &Colors) {
    match target {
        Input::F32(values) => values.fill(0.0),
        Input::U8(values) => values
            .chunks_exact_mut(3)
            .for_each(|pixel| resample::store_bytes(F32x4::load(&colors.mean), pixel)),
    }
}
