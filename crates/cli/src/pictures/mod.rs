//! Pictures on disk: in a folder or a tar archive, packed by gzip or not, with their classes or without.
//!
//! Goes in: a path. Comes out: an iterator over [`Picture`]s, each read when it is asked for, so that an archive of any
//! size passes through. Next: `runner` decodes them.

mod classes;
mod source;

pub use classes::Classes;
pub use source::{Source, is_picture};

use anyhow::{Context, Result, bail};
use image::{DynamicImage, ImageDecoder, ImageReader, RgbaImage};
use mobilenet::Architecture;
use std::io::Cursor;
use std::path::Path;

/// One picture's file.
pub struct Picture {
    /// Its path, inside the folder or the archive.
    pub name: String,
    /// The whole file.
    pub bytes: Vec<u8>,
}

impl Picture {
    /// See [`upright`].
    pub fn decode(&self) -> Result<RgbaImage> {
        upright(&self.bytes).with_context(|| format!("picture `{}`", self.name))
    }
}

/// Pixels of a picture's file, upright as its EXIF says, which is how browsers show it.
pub fn upright(bytes: &[u8]) -> Result<RgbaImage> {
    let mut decoder = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture.into_rgba8())
}

/// Calls `each` with every labelled picture under `path` and the index of its class in the network. `folders` names the
/// folder of every class where they are called neither by label nor by number.
pub fn labelled(
    path: &Path,
    architecture: &Architecture,
    folders: &[String],
    mut each: impl FnMut(Picture, usize) -> Result<()>,
) -> Result<()> {
    let named = path.join("classes.json");
    let mut classes = Classes::new(architecture, folders)?;
    if named.exists() {
        let text = std::fs::read_to_string(&named).with_context(|| named.display().to_string())?;
        let entries: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text)
            .with_context(|| format!("{} is no object of file names with class numbers", named.display()))?;
        if entries.is_empty() {
            bail!("{} names no pictures", named.display());
        }
        for (name, class) in entries {
            let number = class.as_u64().and_then(|number| usize::try_from(number).ok());
            let number =
                number.with_context(|| format!("`{name}` has the class {class}, which is no number"))?;
            let class = classes.numbered(number).with_context(|| format!("picture `{name}`"))?;
            let file = path.join(&name);
            let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
            each(Picture { name, bytes }, class)?;
        }
        return Ok(());
    }
    let mut found = false;
    Source::open(path)?.each(&mut |_| true, &mut |picture| {
        found = true;
        let class = classes.of_picture(&picture.name)?;
        each(picture, class)
    })?;
    if !found {
        bail!("{} holds no pictures (a classes.json, or one folder a class)", path.display());
    }
    Ok(())
}

/// At most `most` pictures under `path`, spread evenly over them in the order of the folder or archive.
pub fn sample(path: &Path, most: usize) -> Result<Vec<Picture>> {
    let source = Source::open(path)?;
    let total = source.count()?;
    if total == 0 {
        bail!("{} holds no pictures (.jpg, .jpeg, .png)", path.display());
    }
    let wanted = most.min(total);
    // The picture at `index` is taken where a step of `total / wanted` falls upon it.
    let takes = |index: usize| (index * wanted) / total != ((index + 1) * wanted) / total;
    let mut taken = Vec::with_capacity(wanted);
    source.each(&mut |index| takes(index), &mut |picture| {
        taken.push(picture);
        Ok(())
    })?;
    Ok(taken)
}
