//! The file that a download is written to. The digest of its contents is computed while it is written.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use crate::digest::{Hasher, Sha256};
use crate::error::Error;
use crate::hash_file::hash_file;
use crate::progress::Reporter;

pub(super) struct PartialFile<'a> {
    path: &'a Path,
    file: File,
    written: u64,
    hasher: Hasher,
}

impl<'a> PartialFile<'a> {
    /// Opens the file for appending and hashes its current contents. If the file is longer than `size`, it is
    /// emptied.
    pub(super) fn open(path: &'a Path, size: Option<u64>, reporter: &mut Reporter<'_>) -> Result<Self, Error> {
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::io("create", path))?;
        let written = file.metadata().map_err(Error::io("read", path))?.len();
        let mut partial = Self { path, file, written, hasher: Hasher::new() };
        if size.is_some_and(|size| written > size) {
            partial.restart()?;
        }
        if partial.written > 0 {
            hash_file(path, &mut partial.hasher, |read| reporter.add(read))?;
        }
        Ok(partial)
    }

    /// The number of bytes in the file.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn append(&mut self, block: &[u8]) -> Result<(), Error> {
        self.file.write_all(block).map_err(Error::io("write", self.path))?;
        self.hasher.update(block);
        self.written += block.len() as u64;
        Ok(())
    }

    /// Empties the file and restarts the digest.
    pub(super) fn restart(&mut self) -> Result<(), Error> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(Error::io("write", self.path))?;
        (self.written, self.hasher) = (0, Hasher::new());
        Ok(())
    }

    /// The digest of the file's contents.
    pub(super) fn digest(&self) -> Sha256 {
        self.hasher.clone().finish()
    }

    /// Flushes the file to the disk.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.file.sync_all().map_err(Error::io("write", self.path))
    }

    /// Removes the file.
    pub(super) fn discard(self) -> Result<(), Error> {
        drop(self.file);
        fs::remove_file(self.path).map_err(Error::io("remove", self.path))
    }
}
