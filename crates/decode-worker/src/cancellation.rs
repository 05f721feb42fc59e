//! Cancels the decoding of a recording (audio or video file).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// A callback that returns true once the samples of the recording are no longer needed.
pub(crate) type IsCancelled = Box<dyn Fn() -> bool + Send + Sync>;

/// The error that reads return after a cancellation.
pub(crate) fn cancelled() -> io::Error {
    io::Error::other("decoding was cancelled")
}

/// A file from which reading fails after a cancellation. A demuxer (which splits a media file into its streams) may
/// search a large file for a long time without producing samples. The failing read stops the demuxer, too.
pub(crate) struct CancellableFile {
    pub(crate) file: File,
    pub(crate) is_cancelled: IsCancelled,
}

impl Read for CancellableFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.is_cancelled)() { Err(cancelled()) } else { self.file.read(buffer) }
    }
}

impl Seek for CancellableFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
