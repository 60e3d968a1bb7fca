//! Where images come from: a folder, in the order of its names, or a tar archive, from front to end.

use super::decode::{EncodedImage, MAX_FILE};
use crate::files::{self, archive, explain};
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::path::{Path, PathBuf};

/// Deepest nesting of folders.
const MAX_DEPTH: usize = 16;

/// A folder or an archive of images.
pub enum ImageSource {
    /// The images of a folder, sorted.
    Folder { root: PathBuf, files: Vec<PathBuf> },
    /// A tar archive.
    Archive { path: PathBuf, gzip: bool },
}

impl ImageSource {
    /// Opens a folder or an archive, whose kind is detected by content.
    pub fn open(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path);
        let metadata = metadata.map_err(|error| anyhow!(explain(path, "must be readable", &error)))?;
        if metadata.is_dir() {
            let mut files = Vec::new();
            walk(path, 0, &mut files)?;
            files.sort();
            return Ok(ImageSource::Folder { root: path.to_owned(), files });
        }
        let gzip = if metadata.is_file() { archive::compressed(path)? } else { None };
        let gzip = gzip.with_context(|| {
            format!("{}: must be a folder or a tar archive (gzip or not), got neither", path.display())
        })?;
        Ok(ImageSource::Archive { path: path.to_owned(), gzip })
    }

    /// Number of images.
    pub fn count(&self) -> Result<usize> {
        match self {
            ImageSource::Folder { files, .. } => Ok(files.len()),
            ImageSource::Archive { .. } => {
                let mut count = 0;
                let mut counted = |_| {
                    count += 1;
                    false
                };
                self.each(&mut counted, &mut |_| Ok(()))?;
                Ok(count)
            }
        }
    }

    /// Reads the images whose index `wanted` accepts and calls `each` with them.
    pub fn each(
        &self,
        wanted: &mut dyn FnMut(usize) -> bool,
        each: &mut dyn FnMut(EncodedImage) -> Result<()>,
    ) -> Result<()> {
        match self {
            ImageSource::Folder { root, files } => {
                for (_, file) in files.iter().enumerate().filter(|(index, _)| wanted(*index)) {
                    let bytes = files::read(file, MAX_FILE)?;
                    let name = file.strip_prefix(root).unwrap_or(file).to_string_lossy().into_owned();
                    each(EncodedImage { name, bytes })?;
                }
                Ok(())
            }
            ImageSource::Archive { path, gzip } => {
                let mut index = 0;
                archive::entries(path, *gzip, &mut |entry| {
                    if !is_image(entry.name) {
                        return Ok(true);
                    }
                    index += 1;
                    if !wanted(index - 1) {
                        return Ok(true);
                    }
                    let name = entry.name.to_string_lossy().into_owned();
                    let place = || format!("{}: `{name}`", path.display());
                    ensure!(
                        entry.size <= MAX_FILE,
                        "{}: an image must have at most {MAX_FILE} bytes, got {}",
                        place(),
                        entry.size
                    );
                    let bytes = entry.read().with_context(|| format!("{} is damaged or cut off", place()))?;
                    each(EncodedImage { name, bytes })?;
                    Ok(true)
                })
            }
        }
    }
}

/// Collects every image below `folder`. What is not a regular file is no image.
fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    if depth > MAX_DEPTH {
        bail!("{}: must lie at most {MAX_DEPTH} folders deep, got more", folder.display());
    }
    let failed = |error| anyhow!(explain(folder, "must be readable", &error));
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            walk(&path, depth + 1, files)?;
        } else if is_image(&path) && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// Whether the name is that of an image, and not of a hidden file that some systems put beside it.
pub fn is_image(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    !hidden && matches!(extension.as_deref(), Some("jpg" | "jpeg" | "png"))
}
