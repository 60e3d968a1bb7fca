//! The geometry of a resize: which part of the frame is used, and where each of its pixels lands in the input.
//!
//! A [`Window`] is in pixels of the frame; [`Pixels`] are the whole pixels that it touches, which is all that a caller has to
//! read; a [`Placement`] is the position of the resampled window in the square input.

use super::{Fit, ImageOptions, Rotation, check_size};
use crate::Result;

/// The part of a frame that is seen, in pixels, edges not rounded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Left edge.
    pub left: f64,
    /// Upper edge.
    pub top: f64,
    /// Width, above 0.
    pub width: f64,
    /// Height, above 0.
    pub height: f64,
}

/// Whole pixels of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Columns, at least 1.
    pub width: usize,
    /// Rows, at least 1.
    pub height: usize,
}

impl Window {
    /// What `options` show of a frame of `width × height` pixels: the region, and of it the largest centred square
    /// where the fit is [`Fit::Cover`].
    ///
    /// # Errors
    /// An empty frame, a region outside of it.
    pub fn new(width: usize, height: usize, options: &ImageOptions) -> Result<Self> {
        check_size(width, height)?;
        let (width, height) = (width as f64, height as f64);
        let mut window = Window { left: 0.0, top: 0.0, width, height };
        if let Some(region) = options.region {
            region.validate()?;
            window = Window {
                left: region.left * width,
                top: region.top * height,
                width: (region.right - region.left) * width,
                height: (region.bottom - region.top) * height,
            };
        }
        if options.fit == Fit::Cover {
            let side = window.width.min(window.height);
            window.left += (window.width - side) / 2.0;
            window.top += (window.height - side) / 2.0;
            (window.width, window.height) = (side, side);
        }
        Ok(window)
    }

    /// The whole pixels that the window touches, within a frame of `width × height`. No others count.
    pub fn pixels(&self, width: usize, height: usize) -> Pixels {
        let (x, columns) = touched(self.left, self.width, width);
        let (y, rows) = touched(self.top, self.height, height);
        Pixels { x, y, width: columns, height: rows }
    }
}

/// First pixel and number of pixels that `start .. start + length` touches, of `size`.
fn touched(start: f64, length: f64, size: usize) -> (usize, usize) {
    // Fractions such as 0.1 · 30 miss a whole pixel by a rounding error; a millionth of a pixel is no pixel.
    const SLACK: f64 = 1e-6;
    let first = ((start + SLACK).floor().max(0.0) as usize).min(size - 1);
    let end = ((start + length - SLACK).ceil().max(0.0) as usize).clamp(first + 1, size);
    (first, end - first)
}

/// Where the resampled window lies in the square: pixel (`x`, `y`) of the window, still in the frame's own
/// orientation, goes to pixel `origin + x · step_x + y · step_y` of the square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    /// Columns that the window is resampled to, before it is turned.
    pub columns: usize,
    /// Rows that the window is resampled to, before it is turned.
    pub rows: usize,
    /// Pixel of the square that (0, 0) goes to.
    pub origin: isize,
    /// From one column to the next.
    pub step_x: isize,
    /// From one row to the next.
    pub step_y: isize,
}

impl Placement {
    /// Places `window` in a square of `side` pixels.
    pub fn new(window: &Window, side: usize, options: &ImageOptions) -> Self {
        let (columns, rows) = match options.fit {
            Fit::Cover | Fit::Stretch => (side, side),
            Fit::Contain => {
                let scale = side as f64 / window.width.max(window.height);
                let scaled = |length: f64| ((length * scale).round() as usize).clamp(1, side);
                (scaled(window.width), scaled(window.height))
            }
        };
        let sideways = options.rotation.is_sideways();
        let (turned_columns, turned_rows) = if sideways { (rows, columns) } else { (columns, rows) };
        let (left, top) = ((side - turned_columns) / 2, (side - turned_rows) / 2);
        let place = |x: usize, y: usize| {
            let (x, y) = match options.rotation {
                Rotation::None => (x, y),
                Rotation::Quarter => (rows - 1 - y, x),
                Rotation::Half => (columns - 1 - x, rows - 1 - y),
                Rotation::ThreeQuarters => (y, columns - 1 - x),
            };
            let x = if options.mirror { turned_columns - 1 - x } else { x };
            ((top + y) * side + left + x) as isize
        };
        // The map is affine, so two differences tell all of it; a single column or row has no difference.
        let origin = place(0, 0);
        let step_x = if columns > 1 { place(1, 0) - origin } else { 0 };
        let step_y = if rows > 1 { place(0, 1) - origin } else { 0 };
        Self { columns, rows, origin, step_x, step_y }
    }

    /// Pixel of the square that (`x`, `y`) of the resampled window goes to.
    pub fn pixel(&self, x: usize, y: usize) -> usize {
        (self.origin + x as isize * self.step_x + y as isize * self.step_y) as usize
    }
}
