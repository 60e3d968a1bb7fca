//! Files that are there whole or not at all.

use anyhow::{Context, bail};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Writes aside, then renames: whatever happens, the old file or the new one is there, whole.
pub fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".part");
    let written = File::create(&aside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = written {
        let _ = std::fs::remove_file(&aside);
        let kept = if path.exists() { "; the last one is untouched" } else { "" };
        bail!("{} cannot be written ({error}){kept}. Make room and start again", path.display());
    }
    std::fs::rename(&aside, path)
        .inspect_err(|_| drop(std::fs::remove_file(&aside)))
        .with_context(|| path.display().to_string())
}
