//! Read-only memory maps of model files. This is the only unsafe code of the crate.

#![allow(unsafe_code)]

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::Error;

/// A regular file, mapped read-only as a whole.
#[derive(Debug)]
pub(crate) struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    /// Maps the file `path`. Follows symbolic links, which the Hugging Face cache consists of.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        // Checked before opening, because opening a named pipe blocks until it has a writer.
        if !path.metadata().map_err(io)?.is_file() {
            return Err(Error::NotAFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(io)?;
        // SAFETY: the map is private to this type and read-only, and it is given out only as `&[u8]`, for which every
        // bit pattern is valid. Offsets are checked against the length of the map, which does not change. Text is
        // copied before it is validated, so no check depends on bytes that are read again later.
        //
        // What cannot be guaranteed is that no other process changes the file. If it is overwritten in place, tensors
        // that are read afterwards hold other numbers. If it is truncated, an access past the new end terminates this
        // process with SIGBUS. Model stores replace files by renaming a new one, which does not change the mapped file.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        Ok(Self { path: path.to_owned(), map })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of the whole file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Removes the pages of a byte range from this process's memory. They are read from the file again on the next
    /// access.
    pub(crate) fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if !range.is_empty() {
            // The advice is a hint, so an error is ignored: it does not change any result.
            // SAFETY: the map is a read-only view of a file. After `MADV_DONTNEED` the next access reads the same bytes
            // from the file again, so `&[u8]` borrows of the range stay valid.
            let _ = unsafe {
                self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len())
            };
        }
        #[cfg(not(unix))]
        let _ = range;
    }

    /// An [`Error::Malformed`] for this file.
    pub(crate) fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::Malformed { path: self.path.clone(), reason: reason.into() }
    }

    /// An [`Error::Unsupported`] for this file.
    pub(crate) fn unsupported(&self, reason: impl Into<String>) -> Error {
        Error::Unsupported { path: self.path.clone(), reason: reason.into() }
    }

    /// An [`Error::Truncated`] for this file, which ends inside the part called `inside`.
    pub(crate) fn truncated(&self, inside: impl Into<String>) -> Error {
        Error::Truncated { path: self.path.clone(), length: self.map.len(), inside: inside.into() }
    }
}
