//! From the bytes of an image file to its pixels, within limits.

use anyhow::{Result, ensure};
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbaImage};
use std::io::Cursor;

/// Largest image file in bytes.
pub const MAX_FILE: u64 = 256 << 20;

/// Most bytes of an image's color profile and texts, and of the decoder's rows.
const MAX_METADATA: u64 = 64 << 20;

/// An image file.
pub struct EncodedImage {
    /// Path inside the folder or the archive.
    pub name: String,
    /// The whole file.
    pub bytes: Vec<u8>,
}

/// What an image may cost.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct ImageLimits {
    /// Skip images of more than this many megapixels; decoding takes up to 16 bytes of memory per pixel.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    max_megapixels: u32,
}

impl ImageLimits {
    fn check(self, (width, height): (u32, u32)) -> Result<()> {
        let most = self.max_megapixels;
        ensure!(
            u64::from(width) * u64::from(height) <= u64::from(most) * 1_000_000,
            "must have at most {most} megapixels, got {width} x {height} pixels; raise --max-megapixels to read it"
        );
        Ok(())
    }
}

/// The pixels of an image file, upright by its EXIF orientation, as browsers show it.
pub fn decode(bytes: &[u8], limits: ImageLimits) -> Result<RgbaImage> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let mut metadata = Limits::no_limits();
    metadata.max_alloc = Some(MAX_METADATA);
    reader.limits(metadata);
    let mut decoder = reader.into_decoder()?;
    // `from_decoder` allocates what the header declares, whatever the decoder's own limits.
    limits.check(decoder.dimensions())?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image.into_rgba8())
}
