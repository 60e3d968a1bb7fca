//! Reading whole files of bounded size.

use super::cause::{explain, special};
use anyhow::{Result, anyhow, ensure};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Largest model file or checkpoint in bytes. MobileNet v1 at width 1 has 17 MB.
pub const MODEL_LIMIT: u64 = 4 << 30;

/// Most bytes of a pipe, which may have no end.
const PIPE_LIMIT: u64 = 512 << 20;

/// Largest labels file, class list or lock file in bytes.
pub const TEXT_LIMIT: u64 = 64 << 20;

/// Reads a file of at most `limit` bytes, or a pipe of at most [`PIPE_LIMIT`]. Folders and devices are refused.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let failed = |error| anyhow!(explain(path, "must be readable", &error));
    // A device may block or act when it is opened, so its kind is looked at before.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if let Some(kind @ ("a folder" | "a device" | "a socket")) = special(&metadata) {
        return Err(anyhow!("{}: must be a file, got {kind}; choose another path", path.display()));
    }
    let limit = if metadata.is_file() { limit } else { limit.min(PIPE_LIMIT) };
    let large = |size: String| {
        anyhow!("{}: must have at most {limit} bytes, got {size}; choose another file", path.display())
    };
    ensure!(metadata.len() <= limit, large(metadata.len().to_string()));
    let mut bytes = Vec::new();
    let mut file = File::open(path).map_err(failed)?.take(limit + 1);
    bytes.try_reserve_exact(metadata.len() as usize).map_err(|_| failed(ErrorKind::OutOfMemory.into()))?;
    file.read_to_end(&mut bytes).map_err(failed)?;
    ensure!(bytes.len() as u64 <= limit, large("more".into()));
    Ok(bytes)
}

/// Reads a text file of at most [`TEXT_LIMIT`] bytes, without a byte order mark.
pub fn read_text(path: &Path) -> Result<String> {
    let text = String::from_utf8(read(path, TEXT_LIMIT)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow!("{}: must be UTF-8, got another byte at {at}; save it as UTF-8", path.display())
    })?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}
