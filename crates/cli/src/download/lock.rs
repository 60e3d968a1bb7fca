//! The lock file: SHA-256 of every file that was downloaded into a folder, so that the next download of the same name
//! has to be the same file.

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Name of the file.
const NAME: &str = "mobilenet.lock.json";

/// Hashes by the name of the file in the folder.
pub struct Lock {
    path: PathBuf,
    hashes: BTreeMap<String, String>,
}

impl Lock {
    /// That of `folder`, empty where there is none yet.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let hashes = match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("{} is damaged: mend or remove it", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        Ok(Self { path, hashes })
    }

    /// Compares the file at `path` with what the publisher states, and with what came the first time. Where neither
    /// is known its hash is kept. Gives the hash, and whether it was known.
    pub fn check(&mut self, path: &Path, name: &str, stated: Option<&str>) -> Result<(String, bool)> {
        let found = sha256(path)?;
        let kept = self.hashes.get(name).map(String::as_str);
        for (wanted, who) in [(stated, "its publisher states"), (kept, "came the first time")] {
            if wanted.is_some_and(|wanted| wanted != found) {
                bail!(
                    "`{name}` has the SHA-256 {found}, and {} {who} (see {}): remove it and download it again, \
                     or remove the line there if the new file is meant",
                    wanted.unwrap_or_default(),
                    self.path.display()
                );
            }
        }
        let known = stated.is_some() || kept.is_some();
        if kept.is_none() {
            self.hashes.insert(name.to_owned(), found.clone());
            let text = serde_json::to_string_pretty(&self.hashes)? + "\n";
            std::fs::write(&self.path, text).with_context(|| self.path.display().to_string())?;
        }
        Ok((found, known))
    }
}

/// A file's hash in hexadecimal.
fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    let mut hash = Sha256::new();
    let mut room = vec![0; 1 << 16];
    loop {
        match file.read(&mut room).with_context(|| path.display().to_string())? {
            0 => break,
            length => hash.update(&room[..length]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
