//! Images on disk: in a folder or a tar archive, labeled or not.
//!
//! [`ImageSource`] reads one file at a time, so that an archive of any size passes through; [`Batch`] collects them up to a
//! number and a size; [`decode`] makes pixels within [`ImageLimits`]; [`Unreadable`] counts those that cannot be decoded.

mod batch;
mod classes;
mod decode;
mod labeled;
mod sample;
mod source;
mod unreadable;

pub use batch::Batch;
pub use decode::{EncodedImage, ImageLimits, decode};
pub use labeled::labeled;
pub use sample::Sample;
pub use source::{ImageSource, is_image};
pub use unreadable::Unreadable;
