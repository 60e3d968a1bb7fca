//! Images with their classes.

use super::classes::Classes;
use super::decode::{EncodedImage, MAX_FILE};
use super::source::ImageSource;
use crate::files;
use anyhow::{Context, Result, bail, ensure};
use mobilenet::Architecture;
use std::path::Path;

/// Calls `each` with every labeled image under `path` and the index of its class. `folders` are the names of the classes'
/// folders, if they are neither labels nor numbers.
pub fn labeled(
    path: &Path,
    architecture: &Architecture,
    folders: &[String],
    mut each: impl FnMut(EncodedImage, usize) -> Result<()>,
) -> Result<()> {
    let list = path.join("classes.json");
    let mut classes = Classes::new(architecture, folders)?;
    if list.exists() {
        return listed(path, &list, &classes, &mut each);
    }
    let mut found = false;
    ImageSource::open(path)?.each(&mut |_| true, &mut |image| {
        found = true;
        let class = classes.of_image(&image.name)?;
        each(image, class)
    })?;
    ensure!(
        found,
        "{}: must hold images (with a classes.json, or in one folder per class), got none",
        path.display()
    );
    Ok(())
}

/// The images that `classes.json` names.
fn listed(
    folder: &Path,
    list: &Path,
    classes: &Classes,
    each: &mut dyn FnMut(EncodedImage, usize) -> Result<()>,
) -> Result<()> {
    let text = files::read_text(list)?;
    let entries: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&text).with_context(|| {
            format!("{}: must be a JSON object of file names and class numbers", list.display())
        })?;
    if entries.is_empty() {
        bail!("{}: must name an image, got an empty object", list.display());
    }
    for (name, class) in entries {
        let number = class.as_u64().and_then(|number| usize::try_from(number).ok());
        let number =
            number.with_context(|| format!("image `{name}`: its class must be a number, got {class}"))?;
        let class = classes.numbered(number).with_context(|| format!("image `{name}`"))?;
        let bytes = files::read(&folder.join(&name), MAX_FILE)?;
        each(EncodedImage { name, bytes }, class)?;
    }
    Ok(())
}
