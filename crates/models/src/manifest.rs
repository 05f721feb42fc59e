//! The manifest of an installed model: where it was downloaded from, and the size and checksum of each file.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::digest::{Hasher, Sha256};
use crate::error::{Fault, Problem};
use crate::hash_file::hash_file;
use crate::plain_name::is_plain_name;
use crate::progress::Reporter;

pub(crate) const MANIFEST: &str = "manifest.json";

/// The maximum size of a manifest in bytes; a manifest normally has a few lines. The limit prevents a wrong file from
/// filling the memory.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// The manifest of an installed model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The model's name.
    pub model: String,
    /// The source of the model: `hub:REPOSITORY@REVISION` or `wheels:NAME==VERSION+...`.
    pub source: String,
    /// The files of the model.
    pub files: Vec<FileRecord>,
}

/// A file of the model, as it was at installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// The name of the file inside the model's directory.
    pub name: String,
    /// The size of the file in bytes.
    pub size: u64,
    /// The digest of the file.
    pub sha256: Sha256,
}

impl Manifest {
    /// The total size of all files in bytes.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).fold(0, u64::saturating_add)
    }

    /// Reads the manifest of the model in `dir`.
    pub(crate) fn read(dir: &Path) -> Result<Self, Problem> {
        let problem = |fault| Problem { file: MANIFEST.to_owned(), fault };
        let unreadable = |reason: String| problem(Fault::Unreadable(reason));

        let file = match File::open(dir.join(MANIFEST)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(problem(Fault::Missing)),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        let mut text = String::new();
        file.take(MAX_MANIFEST_BYTES).read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
        let manifest: Self = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
        match manifest.files.iter().find(|file| !is_plain_name(&file.name)) {
            Some(file) => Err(unreadable(format!("{:?} is not a valid file name", file.name))),
            None => Ok(manifest),
        }
    }

    /// Writes the manifest to `dir` and flushes it to the disk.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), Error> {
        let path = dir.join(MANIFEST);
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::io("write", &path)(e.into()))?;
        let mut file = File::create(&path).map_err(Error::io("create", &path))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(Error::io("write", &path))
    }

    /// Finds the files of the manifest that are missing in `dir`, cannot be read or have a wrong size. Does not read
    /// the contents of the files.
    pub(crate) fn check_sizes(&self, dir: &Path) -> Vec<Problem> {
        self.files.iter().filter_map(|file| file.check_size(dir)).collect()
    }
}

impl FileRecord {
    fn check_size(&self, dir: &Path) -> Option<Problem> {
        let fault = match fs::metadata(dir.join(&self.name)) {
            Ok(found) if found.is_file() && found.len() == self.size => return None,
            Ok(found) if found.is_file() => Fault::Size { expected: self.size, actual: found.len() },
            Ok(_) => Fault::Unreadable("it is not a file".to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Fault::Missing,
            Err(error) => Fault::Unreadable(error.to_string()),
        };
        Some(Problem { file: self.name.clone(), fault })
    }

    /// Reads the whole file in `dir` and compares its digest with the `catalogue` digest if given, or else with the
    /// digest in this record. Returns the problem if they differ or the file cannot be read.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if `reporter` cancels.
    pub(crate) fn verify(
        &self,
        dir: &Path,
        catalogue: Option<Sha256>,
        reporter: &mut Reporter<'_>,
    ) -> Result<Option<Problem>, Error> {
        if let Some(problem) = self.check_size(dir) {
            return Ok(Some(problem));
        }
        let mut hasher = Hasher::new();
        let fault = match hash_file(&dir.join(&self.name), &mut hasher, |read| reporter.add(read)) {
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => Fault::Unreadable(error.to_string()),
            Ok(()) => {
                let (expected, actual) = (catalogue.unwrap_or(self.sha256), hasher.finish());
                if actual == expected {
                    return Ok(None);
                }
                Fault::Checksum { expected, actual }
            }
        };
        Ok(Some(Problem { file: self.name.clone(), fault }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_written_manifest_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = FileRecord { name: "model.bin".into(), size: 3, sha256: Sha256::of(b"abc") };
        let manifest = Manifest { model: "base".into(), source: "hub:a/b@c".into(), files: vec![file] };
        manifest.write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()), Ok(manifest));
    }

    #[test]
    fn a_file_name_outside_the_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let digest = Sha256::of(b"");
        let text =
            format!(r#"{{"model":"m","source":"s","files":[{{"name":"../secret","size":0,"sha256":"{digest}"}}]}}"#);
        fs::write(dir.path().join(MANIFEST), text).unwrap();
        let problem = Manifest::read(dir.path()).unwrap_err();
        assert!(problem.to_string().contains("../secret"), "{problem}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn arbitrary_bytes_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(MANIFEST), bytes).unwrap();
            prop_assert!(Manifest::read(dir.path()).is_err());
        }
    }
}
