//! Sentences for what the file system refuses.

use std::io::{Error, ErrorKind};
use std::path::Path;

/// A sentence for a failed operation on `path`: what was asked of it, the system's cause, and the cure.
pub fn explain(path: &Path, rule: &str, error: &Error) -> String {
    let cure = match error.kind() {
        ErrorKind::NotFound => "check the path; its folder must exist",
        ErrorKind::PermissionDenied => "change its permissions or choose another path",
        ErrorKind::ReadOnlyFilesystem => "choose a path on a file system that can be written",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "free some space and run again"
        }
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::InvalidFilename => {
            "choose another path"
        }
        ErrorKind::OutOfMemory => "free some memory and run again",
        _ => "check the file system and run again",
    };
    format!("{}: {rule}, got `{error}`; {cure}", path.display())
}

/// What `metadata` describes, unless it is a regular file.
pub(super) fn special(metadata: &std::fs::Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return None;
    }
    if kind.is_dir() {
        return Some("a folder");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_char_device() || kind.is_block_device() {
            return Some("a device");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
    }
    Some("a pipe")
}
