//! Locks between runs of the program: a file that one run holds at a time.

use super::cause::explain;
use anyhow::{Result, anyhow, bail};
use std::fs::{File, Metadata, TryLockError};
use std::path::{Path, PathBuf};

/// A lock that is held until it is dropped. Its file is removed then; one that a killed run left does not lock.
pub struct FileLock {
    path: PathBuf,
    _file: File,
}

impl FileLock {
    /// Takes the lock at `path`, or waits for it after printing that another run does `what`.
    pub fn wait(path: PathBuf, what: &str) -> Result<Self> {
        Self::take(path, |path, file| {
            crate::console::error(format_args!("{}: another run {what}; waiting for it", path.display()));
            file.lock().map_err(|error| anyhow!(explain(path, "must be lockable", &error)))
        })
    }

    /// Takes the lock at `path`, or fails with a sentence that says that another run does `what`.
    pub fn acquire(path: PathBuf, what: &str, cure: &str) -> Result<Self> {
        Self::take(path, |path, _| {
            let folder = path.parent().unwrap_or(path);
            bail!("{}: must not be in use, got another run that {what}; {cure}", folder.display())
        })
    }

    fn take(path: PathBuf, busy: impl Fn(&Path, &File) -> Result<()>) -> Result<Self> {
        let failed = |error| anyhow!(explain(&path, "must be writable", &error));
        loop {
            let file =
                File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => busy(&path, &file)?,
                // A file system without locks: one run at a time is up to the user there.
                Err(TryLockError::Error(_)) => return Ok(Self { path, _file: file }),
            }
            // The run before has removed the file it held: then a lock on it protects nothing.
            if Self::is_at(&path, &file) {
                return Ok(Self { path, _file: file });
            }
        }
    }

    /// Whether `file` is still the one at `path`.
    pub(super) fn is_at(path: &Path, file: &File) -> bool {
        match (file.metadata(), std::fs::metadata(path)) {
            (Ok(held), Ok(found)) => same(&held, &found),
            _ => false,
        }
    }
}

#[cfg(unix)]
fn same(held: &Metadata, found: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (held.dev(), held.ino()) == (found.dev(), found.ino())
}

/// Elsewhere a removed file is gone from its path while it is held.
#[cfg(not(unix))]
fn same(_: &Metadata, _: &Metadata) -> bool {
    true
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
