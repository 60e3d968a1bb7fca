//! `mobilenet.lock.json`: the SHA-256 of each file that was downloaded into a folder, so that the next download of the same
//! name must be the same file.

use crate::files::{self, FileLock, explain};
use anyhow::{Context, Result, anyhow, bail, ensure};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

const NAME: &str = "mobilenet.lock.json";

/// Hashes by file name.
pub struct Hashes {
    path: PathBuf,
    hashes: BTreeMap<String, String>,
}

impl Hashes {
    /// Those of `folder`; none if it has no lock file yet.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let hashes = if path.exists() {
            serde_json::from_str(&files::read_text(&path)?)
                .with_context(|| format!("{} is damaged; repair or remove it", path.display()))?
        } else {
            BTreeMap::new()
        };
        Ok(Self { path, hashes })
    }

    /// Compares the hash `found` of the file `name` with the one that the publisher `stated`, and with that of the first
    /// download. Gives whether either is known.
    pub fn check(&self, name: &str, found: &str, stated: Option<&str>) -> Result<bool> {
        let kept = self.hashes.get(name).map(String::as_str);
        for (wanted, source) in [(stated, "its publisher states"), (kept, "came the first time")] {
            if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
                bail!(
                    "{name}: must have the SHA-256 {wanted}, which {source}, got {found}; remove it and download it \
                     again, or remove its line in {} if the new file is meant",
                    self.path.display()
                );
            }
        }
        Ok(stated.is_some() || kept.is_some())
    }

    /// Adds hashes to the file, which other runs may have changed since it was opened.
    pub fn add(&mut self, hashes: Vec<(String, String)>) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("")).to_owned();
        let _lock = FileLock::wait(folder.join(format!(".{NAME}.lock")), "changes it")?;
        let mut current = Self::open(&folder)?;
        for (name, hash) in hashes {
            current.check(&name, &hash, None)?;
            current.hashes.insert(name, hash);
        }
        if current.hashes != self.hashes {
            let text = serde_json::to_string_pretty(&current.hashes)? + "\n";
            files::replace(&self.path, text.as_bytes())?;
        }
        *self = current;
        Ok(())
    }
}

/// SHA-256 of a file in hexadecimal.
pub fn sha256(path: &Path) -> Result<String> {
    let failed = |error| anyhow!(explain(path, "must be readable", &error));
    ensure!(
        std::fs::metadata(path).map_err(failed)?.is_file(),
        "{}: must be a file, got another kind; remove it and run again",
        path.display()
    );
    let mut file = File::open(path).map_err(failed)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            length => hash.update(&buffer[..length]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
