//! Tar archives, compressed by gzip or not, read once from front to end.

use super::cause::explain;
use anyhow::{Context, Result, anyhow, ensure};
use flate2::read::MultiGzDecoder;
use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Largest header in bytes of an archive's entry, long names and extensions included. `tar` holds it in memory.
const MAX_HEADER: u64 = 1 << 20;

/// An entry of the archive that is a regular file.
pub struct Entry<'a> {
    /// Path inside the archive.
    pub name: &'a Path,
    /// Bytes.
    pub size: u64,
    content: &'a mut dyn Read,
}

impl Entry<'_> {
    /// The whole content.
    pub fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.content.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Whether the file begins as an archive does: of gzip (true), of tar (false), or not at all.
pub fn compressed(path: &Path) -> Result<Option<bool>> {
    let failed = |error| anyhow!(explain(path, "must be readable", &error));
    let mut start = Vec::new();
    File::open(path).map_err(failed)?.take(512).read_to_end(&mut start).map_err(failed)?;
    let tar = start.get(257..262) == Some(b"ustar");
    Ok(if start.starts_with(&[0x1f, 0x8b]) { Some(true) } else { tar.then_some(false) })
}

/// Calls `each` with every regular file of the archive at `path`, until it returns `false`.
pub fn entries(path: &Path, gzip: bool, each: &mut dyn FnMut(&mut Entry) -> Result<bool>) -> Result<()> {
    let file = File::open(path).map_err(|error| anyhow!(explain(path, "must be readable", &error)))?;
    let file = BufReader::new(file);
    let left = Cell::new(MAX_HEADER);
    if gzip {
        walk(path, Bounded { reader: MultiGzDecoder::new(file), left: &left }, each)
    } else {
        walk(path, Bounded { reader: file, left: &left }, each)
    }
}

fn walk<R: Read>(
    path: &Path,
    reader: Bounded<R>,
    each: &mut dyn FnMut(&mut Entry) -> Result<bool>,
) -> Result<()> {
    let damaged =
        || format!("{}: must be a whole tar archive, got one that is damaged or cut off", path.display());
    let left = reader.left;
    for entry in tar::Archive::new(reader).entries().with_context(damaged)? {
        let mut entry = entry.with_context(damaged)?;
        let kind = entry.header().entry_type();
        let mut size = entry.size();
        if kind.is_gnu_sparse() {
            // `size` is that of the unpacked file; the header has that of its content in the archive.
            let extensions = entry.pax_extensions().with_context(damaged)?.into_iter().flatten();
            let resized = extensions.flatten().any(|extension| extension.key_bytes() == b"size");
            ensure!(!resized, "{}: sparse files with extended sizes are not supported", path.display());
            size = entry.header().entry_size().with_context(damaged)?;
        }
        left.set(size);
        if kind.is_file() {
            let name = entry.path().with_context(damaged)?.into_owned();
            if !each(&mut Entry { name: &name, size, content: &mut entry })? {
                return Ok(());
            }
        }
        // What `each` left unread is skipped before the next header.
        left.set(left.get().saturating_add(MAX_HEADER));
    }
    Ok(())
}

/// A reader that fails when more is read than is `left`: the bound of a header, which `tar` does not have.
struct Bounded<'a, R> {
    reader: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.left.get();
        if left == 0 && !buffer.is_empty() {
            let message = format!("an entry's header must have at most {MAX_HEADER} bytes, got more");
            return Err(std::io::Error::other(message));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.reader.read(&mut buffer[..most])?;
        self.left.set(left - length as u64);
        Ok(length)
    }
}
