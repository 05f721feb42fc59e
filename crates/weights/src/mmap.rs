//! Read-only memory maps of model files. All unsafe code of this crate is here.

#![allow(unsafe_code)]

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::Error;

/// A regular file whose whole content is mapped into memory, read-only.
#[derive(Debug)]
pub(crate) struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    /// Maps the file at `path`. Follows symbolic links, because the cache of Hugging Face's tools consists of them.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        // Checked before opening, because opening a named pipe would wait for its writer.
        if !path.metadata().map_err(io)?.is_file() {
            return Err(Error::NotAFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(io)?;
        // SAFETY: a mapped `&[u8]` is sound if it is never written and its file does not change. The map is private
        // to this type, read-only, and accessible only as `&[u8]`, for which every bit pattern is valid. Offsets into
        // the map are checked against its own length, and text is copied before it is validated, so no check becomes
        // invalid if bytes change later.
        //
        // This code cannot prevent other processes from changing the file. If the file is rewritten in place, later
        // reads return other numbers. If it is truncated, reading past the new end stops this process with SIGBUS.
        // Programs that download models replace a file by renaming, which does not change the mapped file.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        Ok(Self { path: path.to_owned(), map })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Drops the pages of a byte range from this process's memory. At the next access, the operating system reads
    /// them from the file again.
    pub(crate) fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if !range.is_empty() {
            // SAFETY: dropping pages must not change the contents of the map. The map is a shared, read-only view of
            // a file, so the next access reads the same bytes from the file, and `&[u8]` borrows of the range stay
            // valid. If the operating system cannot drop the pages, nothing changes, so errors are ignored.
            let _ = unsafe {
                self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len())
            };
        }
        #[cfg(not(unix))]
        let _ = range;
    }

    /// Creates an [`Error::Malformed`] for this file.
    pub(crate) fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::Malformed { path: self.path.clone(), reason: reason.into() }
    }

    /// Creates an [`Error::Unsupported`] for this file.
    pub(crate) fn unsupported(&self, reason: impl Into<String>) -> Error {
        Error::Unsupported { path: self.path.clone(), reason: reason.into() }
    }

    /// Creates an [`Error::Truncated`] for this file. `inside` is the name of the part that is cut off.
    pub(crate) fn truncated(&self, inside: impl Into<String>) -> Error {
        Error::Truncated { path: self.path.clone(), length: self.map.len(), inside: inside.into() }
    }
}
