//! Read-only memory maps of model files. All unsafe code of this crate is here.

#![allow(unsafe_code)]

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::Error;

/// A regular file that is mapped completely and read-only.
#[derive(Debug)]
pub(crate) struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    /// Maps `path`. Follows symbolic links, which the Hugging Face cache uses.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        // Checked before opening, because opening a named pipe would wait for its writer.
        if !path.metadata().map_err(io)?.is_file() {
            return Err(Error::NotAFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(io)?;
        // SAFETY: the map is private to this type, read-only, and only ever lent as `&[u8]`, for which every bit
        // pattern is valid; offsets into it are checked against the map's own length and text is copied before it is
        // validated, so no decision rests on bytes that are read a second time. The one thing that the language cannot
        // promise is that no other process changes the file: rewritten in place, the tensors read afterwards hold
        // other numbers; cut short, reading past the new end stops this process with SIGBUS. Model stores replace
        // files by renaming, which leaves the mapped one as it was.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        Ok(Self { path: path.to_owned(), map })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Drops the pages of a byte range from this process's memory; they are read again when next used.
    pub(crate) fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if !range.is_empty() {
            // SAFETY: the map is a shared, read-only view of a file. Dropping its pages loses nothing: the next read
            // brings the same bytes back from the file, so `&[u8]` borrows of the range stay valid.
            // The advice is a hint; that it cannot be followed changes no result.
            let _ = unsafe {
                self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len())
            };
        }
        #[cfg(not(unix))]
        let _ = range;
    }

    /// An [`Error::Malformed`] of this file.
    pub(crate) fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::Malformed { path: self.path.clone(), reason: reason.into() }
    }

    /// An [`Error::Unsupported`] of this file.
    pub(crate) fn unsupported(&self, reason: impl Into<String>) -> Error {
        Error::Unsupported { path: self.path.clone(), reason: reason.into() }
    }

    /// An [`Error::Truncated`] of this file.
    pub(crate) fn truncated(&self, inside: impl Into<String>) -> Error {
        Error::Truncated { path: self.path.clone(), length: self.map.len(), inside: inside.into() }
    }
}
