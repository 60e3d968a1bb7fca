//! Where pictures come from: a folder, walked in the order of its names, or a tar archive, read once from front to end.

use super::Picture;
use anyhow::{Context, Result, bail};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Deepest nesting of folders that is walked.
const DEEPEST: usize = 16;

/// Largest picture's file; a larger entry of an archive is no picture of anybody's.
const LARGEST: u64 = 256 << 20;

/// A folder or an archive.
pub enum Source {
    /// The pictures of a folder, sorted.
    Folder { root: PathBuf, files: Vec<PathBuf> },
    /// A tar archive.
    Archive { path: PathBuf, gzip: bool },
}

impl Source {
    /// Looks at what `path` is; the archive's kind is told by its content.
    pub fn open(path: &Path) -> Result<Self> {
        let name = || path.display().to_string();
        if std::fs::metadata(path).with_context(name)?.is_dir() {
            let mut files = Vec::new();
            walk(path, 0, &mut files)?;
            files.sort();
            return Ok(Source::Folder { root: path.to_owned(), files });
        }
        let mut start = Vec::new();
        File::open(path).with_context(name)?.take(512).read_to_end(&mut start).with_context(name)?;
        let gzip = start.starts_with(&[0x1f, 0x8b]);
        if !gzip && start.get(257..262) != Some(b"ustar") {
            bail!("{} is neither a folder nor a tar archive, packed by gzip or not", path.display());
        }
        Ok(Source::Archive { path: path.to_owned(), gzip })
    }

    /// How many pictures there are.
    pub fn count(&self) -> Result<usize> {
        match self {
            Source::Folder { files, .. } => Ok(files.len()),
            Source::Archive { .. } => {
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

    /// Reads those pictures whose place, counted from 0, `takes` and hands each on.
    pub fn each(
        &self,
        takes: &mut dyn FnMut(usize) -> bool,
        each: &mut dyn FnMut(Picture) -> Result<()>,
    ) -> Result<()> {
        match self {
            Source::Folder { root, files } => {
                for (_, file) in files.iter().enumerate().filter(|(index, _)| takes(*index)) {
                    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
                    let name = file.strip_prefix(root).unwrap_or(file).to_string_lossy().into_owned();
                    each(Picture { name, bytes })?;
                }
                Ok(())
            }
            Source::Archive { path, gzip } => {
                let file = BufReader::new(File::open(path).with_context(|| path.display().to_string())?);
                if *gzip {
                    entries(path, MultiGzDecoder::new(file), takes, each)
                } else {
                    entries(path, file, takes, each)
                }
            }
        }
    }
}

/// The pictures among an archive's entries.
fn entries(
    path: &Path,
    reader: impl Read,
    takes: &mut dyn FnMut(usize) -> bool,
    each: &mut dyn FnMut(Picture) -> Result<()>,
) -> Result<()> {
    let damaged = || format!("{} is damaged or cut off", path.display());
    let mut index = 0;
    for entry in tar::Archive::new(reader).entries().with_context(damaged)? {
        let mut entry = entry.with_context(damaged)?;
        let name = entry.path().with_context(damaged)?.into_owned();
        if !entry.header().entry_type().is_file() || !is_picture(&name) {
            continue;
        }
        index += 1;
        if !takes(index - 1) {
            continue;
        }
        if entry.size() > LARGEST {
            bail!(
                "{}: `{}` has {} bytes, too many for a picture",
                path.display(),
                name.display(),
                entry.size()
            );
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).with_context(damaged)?;
        each(Picture { name: name.to_string_lossy().into_owned(), bytes })?;
    }
    Ok(())
}

/// Every picture below `folder`, at any depth.
fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    if depth > DEEPEST {
        bail!("{} lies more than {DEEPEST} folders deep", folder.display());
    }
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, depth + 1, files)?;
        } else if is_picture(&path) {
            files.push(path);
        }
    }
    Ok(())
}

/// Whether the name is a picture's, and not one of those hidden ones that some systems put beside it.
pub fn is_picture(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    !hidden && matches!(ending.as_deref(), Some("jpg" | "jpeg" | "png"))
}
