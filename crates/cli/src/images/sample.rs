//! An evenly spaced part of the images of a source.

use super::batch::Batch;
use super::decode::EncodedImage;
use super::source::ImageSource;
use anyhow::{Result, ensure};
use std::path::Path;

/// Some images of a folder or an archive, which are read anew for each pass.
pub struct Sample {
    source: ImageSource,
    total: usize,
    wanted: usize,
}

impl Sample {
    /// At most `most` of the images under `path`.
    pub fn open(path: &Path, most: usize) -> Result<Self> {
        let source = ImageSource::open(path)?;
        let total = source.count()?;
        ensure!(total > 0, "{}: must hold images (.jpg, .jpeg, .png), got none", path.display());
        Ok(Self { source, total, wanted: most.min(total) })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.wanted
    }

    /// Calls `each` with batches of the images and their indices in the sample.
    pub fn batches(&self, mut each: impl FnMut(&[(usize, EncodedImage)]) -> Result<()>) -> Result<()> {
        // An image is wanted if its interval of the whole contains a multiple of `total / wanted`.
        let part = |index: usize| (index * self.wanted) / self.total;
        let (mut batch, mut next) = (Batch::new(), 0);
        self.source.each(&mut |index| part(index) != part(index + 1), &mut |image| {
            let size = image.bytes.len();
            let full = batch.push((next, image), size);
            next += 1;
            full.map_or(Ok(()), |full| each(&full))
        })?;
        each(&batch.take())
    }
}
