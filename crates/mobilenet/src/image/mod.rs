//! Image preprocessing: region, rotation, mirroring, fit, antialiased resize and normalization in one pass over the pixels.
//!
//! The region of interest is cut out of the frame as it is stored, rotated clockwise, mirrored left to right, and fitted into
//! the network's square input. [`Window`] is the geometry, [`Resizer`] the arithmetic. No step is left to the browser, so
//! all browsers and native builds give the same bits.

mod resizer;
mod window;

#[cfg(test)]
mod tests;

pub use resizer::Resizer;
pub use window::{Pixels, Window};

use crate::error::Decimal;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// A borrowed picture: rows from the top, four bytes a pixel (red, green, blue, and an alpha that is ignored).
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    data: &'a [u8],
    width: usize,
    height: usize,
}

impl<'a> Frame<'a> {
    /// Holds `data` as a picture of `width × height` pixels.
    ///
    /// # Errors
    /// [`Error::frame`] if a side is zero or if `data` is not exactly `width · height · 4` bytes.
    pub fn new(data: &'a [u8], width: usize, height: usize) -> Result<Self> {
        check_size(width, height)?;
        let expected = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(4));
        if expected != Some(data.len()) {
            return Err(Error::frame(format!(
                "data: must have width · height · 4 bytes of RGBA, got {} bytes for {width}×{height} pixels",
                data.len()
            )));
        }
        Ok(Self { data, width, height })
    }

    /// The bytes, four a pixel.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Pixels in a row; never zero.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows; never zero.
    pub fn height(&self) -> usize {
        self.height
    }
}

/// Refuses an empty picture.
///
/// # Errors
/// [`Error::frame`] if a side is zero.
pub fn check_size(width: usize, height: usize) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::frame(format!(
            "must have pixels, got {width}×{height} pixels; wait until it has an image"
        )));
    }
    Ok(())
}

/// Part of a frame, in fractions of its width and height as it is stored (before any rotation).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// Left edge, 0 to 1.
    pub left: f64,
    /// Upper edge, 0 to 1.
    pub top: f64,
    /// Right edge, above `left`, at most 1.
    pub right: f64,
    /// Lower edge, above `top`, at most 1.
    pub bottom: f64,
}

impl Region {
    /// Refuses what is empty, beyond the frame or not a number.
    ///
    /// # Errors
    /// [`Error::argument`] with the four edges.
    pub fn validate(&self) -> Result<()> {
        let ordered = |low: f64, high: f64| (0.0..=1.0).contains(&low) && low < high && high <= 1.0;
        if ordered(self.left, self.right) && ordered(self.top, self.bottom) {
            return Ok(());
        }
        let [left, top, right, bottom] = [self.left, self.top, self.right, self.bottom].map(Decimal);
        Err(Error::argument(format!(
            "region of interest: edges must be fractions of the frame from 0 to 1, left below right and top below \
             bottom, got left {left}, top {top}, right {right}, bottom {bottom}"
        )))
    }
}

/// How far the picture is turned clockwise before the network sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    /// As it is.
    #[default]
    None,
    /// A quarter turn clockwise.
    Quarter,
    /// Upside down.
    Half,
    /// A quarter turn counter-clockwise.
    ThreeQuarters,
}

impl Rotation {
    /// From degrees clockwise: any multiple of 90, negative ones too.
    ///
    /// # Errors
    /// [`Error::argument`] for any other angle.
    pub fn from_degrees(degrees: f64) -> Result<Self> {
        let turns = degrees / 90.0;
        // A remainder of floats would be a kilobyte of the class's file.
        match (turns - 4.0 * (turns / 4.0).floor(), 90.0 * turns == degrees) {
            (0.0, true) => Ok(Rotation::None),
            (1.0, true) => Ok(Rotation::Quarter),
            (2.0, true) => Ok(Rotation::Half),
            (3.0, true) => Ok(Rotation::ThreeQuarters),
            _ => Err(Error::argument(format!(
                "rotation: must be a multiple of 90 degrees, got {}",
                Decimal(degrees)
            ))),
        }
    }

    /// Whether width and height change places.
    pub fn is_sideways(self) -> bool {
        matches!(self, Rotation::Quarter | Rotation::ThreeQuarters)
    }
}

/// How a picture that is not square meets the square input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The largest centred square; what sticks out is cut off.
    #[default]
    Cover,
    /// The whole picture, centred between bars of the normalization's mean: the value that the network's own
    /// padding has (0 once normalized), so the bars add nothing of their own.
    Contain,
    /// The whole picture, its sides scaled independently.
    Stretch,
}

/// What happens to a frame on its way into the network.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ImageOptions {
    /// Part to look at; the whole frame where absent.
    pub region: Option<Region>,
    /// Turn, after the region is cut out.
    pub rotation: Rotation,
    /// Left becomes right, after the turn.
    pub mirror: bool,
    /// How the picture meets the square.
    pub fit: Fit,
}
