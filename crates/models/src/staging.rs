//! The directory of an unfinished pull (download of a model), `.NAME.partial`. It has a subdirectory for each source.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::digest::Sha256;

pub(crate) struct Staging(PathBuf);

impl Staging {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Returns the directory of the source with this key. If it does not exist yet, creates it with an empty
    /// subdirectory `files`.
    pub(crate) fn source(&self, key: &str) -> Result<PathBuf, Error> {
        let kind = key.split(':').next().unwrap_or_default();
        let digest = Sha256::of(key.as_bytes()).to_string();
        let dir = self.0.join(format!("{kind}-{}", &digest[..8]));
        fs::create_dir_all(dir.join("files")).map_err(Error::io("create", &dir))?;
        Ok(dir)
    }

    /// Removes empty files and directories, because no download can be resumed from them. Errors are harmless and are
    /// ignored.
    pub(crate) fn prune(&self) {
        prune(&self.0);
    }

    /// Removes the directory with all its contents.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        remove_dir(&self.0)
    }
}

/// Removes a directory with its contents, if it exists.
pub(crate) fn remove_dir(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", dir)(error)),
        _ => Ok(()),
    }
}

/// The total size in bytes of all files in `dir` and its subdirectories. Files that disappear meanwhile or cannot be
/// read count as zero bytes.
pub(crate) fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let sizes = entries.filter_map(Result::ok).map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => bytes_below(&entry.path()),
        _ => entry.metadata().map_or(0, |file| file.len()),
    });
    sizes.sum()
}

/// Removes empty files below `dir`, then directories that are empty.
fn prune(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.filter_map(Result::ok) {
        match entry.metadata() {
            Ok(found) if found.is_dir() => prune(&entry.path()),
            Ok(found) if found.is_file() && found.len() == 0 => drop(fs::remove_file(entry.path())),
            _ => {}
        }
    }
    // If the directory is not empty, this call fails and the directory stays. This is intended.
    let _ = fs::remove_dir(dir);
}
