//! Writing whole files atomically.

use super::cause::{explain, special};
use super::lock::FileLock;
use anyhow::{Result, anyhow, bail};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, Permissions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Longest chain of symbolic links that is followed, as in Linux.
const MAX_LINKS: usize = 40;

/// Replaces the file at `path`, or creates it. Readers and other runs see the old file or the new one, never a part.
///
/// The bytes go to a temporary file of a random name in the same folder, which is then renamed. Links are followed;
/// folders, pipes and devices are refused. Temporary files that a killed run left for this target are removed.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let target = check_target(path)?;
    let old = std::fs::metadata(&target).ok();
    write(&target, bytes, old.as_ref()).map_err(|error| {
        let kept = if old.is_some() { "; the old file is unchanged" } else { "" };
        anyhow!("{}{kept}", explain(path, "must be writable", &error))
    })
}

/// Where `path` leads to through links, which must be a regular file or nothing yet.
pub fn check_target(path: &Path) -> Result<PathBuf> {
    let failed = |error| explain(path, "must be writable", &error);
    match std::fs::metadata(path) {
        Ok(metadata) => {
            if let Some(kind) = special(&metadata) {
                bail!("{}: must be a file or not exist, got {kind}; choose another path", path.display());
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => bail!(failed(error)),
    }
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        match std::fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    bail!("{}: must lead to a file, got more than {MAX_LINKS} links; choose another path", path.display())
}

fn write(target: &Path, bytes: &[u8], old: Option<&Metadata>) -> std::io::Result<()> {
    let folder = match target.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let name = target.file_name().ok_or(ErrorKind::InvalidFilename)?;
    remove_abandoned(folder, name);
    let mut file = create(folder, name, old)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(target).map_err(|error| error.error)?;
    Ok(())
}

/// Creates `.NAME.XXXXXX.part`, locked, so that other runs can tell it from an abandoned one.
fn create(folder: &Path, name: &OsStr, old: Option<&Metadata>) -> std::io::Result<NamedTempFile> {
    let prefix = prefix(name);
    loop {
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(SUFFIX);
        let permissions = permissions(old);
        if let Some(permissions) = permissions.as_ref().filter(|_| cfg!(unix)) {
            builder.permissions(permissions.clone());
        }
        let file = builder.tempfile_in(folder)?;
        let locked = match file.as_file().try_lock() {
            Ok(()) => true,
            // Another run takes it for abandoned, between creation and lock.
            Err(TryLockError::WouldBlock) => file.as_file().lock().is_ok(),
            // A file system without locks has no cleaning either.
            Err(TryLockError::Error(_)) => false,
        };
        if !locked || FileLock::is_at(file.path(), file.as_file()) {
            if let Some(permissions) = permissions.filter(|_| old.is_some()) {
                let _ = file.as_file().set_permissions(permissions);
            }
            return Ok(file);
        }
    }
}

/// Those of the file that is replaced, or what the system gives to a new file.
fn permissions(old: Option<&Metadata>) -> Option<Permissions> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = old.map_or(0o666, |old| old.permissions().mode() & 0o777);
        Some(Permissions::from_mode(mode))
    }
    #[cfg(not(unix))]
    old.map(Metadata::permissions)
}

const SUFFIX: &str = ".part";

/// `.NAME.`, shortened so that the whole name stays within the 255 bytes of usual file systems.
fn prefix(name: &OsStr) -> OsString {
    let text = name.to_string_lossy();
    let end = (0..=text.len().min(200)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!(".{}.", &text[..end]).into()
}

/// Removes the temporary files of killed runs, which are those without a lock.
fn remove_abandoned(folder: &Path, name: &OsStr) {
    let prefix = prefix(name).to_string_lossy().into_owned();
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let random = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(SUFFIX));
        let ours = random.is_some_and(|random| {
            random.len() == 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        if ours && let Ok(file) = File::options().write(true).open(entry.path()) {
            match file.try_lock() {
                Ok(()) => drop(std::fs::remove_file(entry.path())),
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn only_abandoned_files_of_the_same_target_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let others = [".out.abc.part", ".out.abcd+f.part", ".other.abcdef.part", "out.abcdef.part"];
        for name in others.iter().chain(&[".out.abcdef.part"]) {
            std::fs::write(at(name), "").unwrap();
        }
        let busy = create(folder.path(), "out".as_ref(), None).unwrap();
        replace(&at("out"), b"new").unwrap();
        let mut left = names(folder.path());
        left.sort();
        let mut expected: Vec<String> = others.map(String::from).to_vec();
        expected.extend(["out".into(), busy.path().file_name().unwrap().to_string_lossy().into_owned()]);
        expected.sort();
        assert_eq!(left, expected);
    }

    #[test]
    fn long_names_leave_room_for_the_temporary_part() {
        let folder = tempfile::tempdir().unwrap();
        let name = "ü".repeat(127);
        replace(&folder.path().join(&name), b"new").unwrap();
        assert_eq!(names(folder.path()), [name]);
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_has_the_usual_permissions_and_a_replaced_one_keeps_its_own() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mode = |name: &str| std::fs::metadata(at(name)).unwrap().permissions().mode() & 0o777;
        File::create(at("usual")).unwrap();
        replace(&at("out"), b"one").unwrap();
        assert_eq!(mode("out"), mode("usual"));
        std::fs::set_permissions(at("out"), Permissions::from_mode(0o604)).unwrap();
        replace(&at("out"), b"two").unwrap();
        assert_eq!(mode("out"), 0o604);
    }
}
