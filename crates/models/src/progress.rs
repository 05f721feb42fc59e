//! Progress reports of long operations, and cancellation.

use std::ops::ControlFlow;

use crate::Error;

/// One step of a pull or a verification.
///
/// The progress callback is called for every step. It returns [`ControlFlow::Continue`], or [`ControlFlow::Break`] to
/// cancel. A cancelled operation returns [`Error::Cancelled`] within about 0.1 s and keeps the files that are needed
/// to resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// The operation waits because another process is pulling or removing this model.
    Waiting {
        /// The model's name.
        model: &'a str,
    },
    /// The next source is about to be tried.
    Source {
        /// The name of the source for users, such as `Hugging Face hub (Systran/faster-whisper-base)`.
        source: &'a str,
    },
    /// A source failed. The next source, if any, is tried.
    SourceFailed {
        /// The name of the source, as in [`Progress::Source`].
        source: &'a str,
        /// The reason why the source failed, on one line.
        reason: &'a str,
    },
    /// A phase starts. Its number of processed bytes is zero.
    Started {
        /// The phase that starts.
        phase: Phase,
        /// The total number of bytes of this phase, if known.
        total: Option<u64>,
    },
    /// Some bytes were processed. This is reported at least ten times a second, even if no bytes were processed.
    Advanced {
        /// The number of bytes processed in this phase. It decreases if something must be downloaded again.
        bytes: u64,
    },
    /// A file was compared with its checksum, or with its size if no checksum is known.
    Verified {
        /// The file's name.
        file: &'a str,
    },
}

/// A phase of an operation. The bytes that are counted differ between phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Counts downloaded bytes, including those that an earlier attempt downloaded.
    Downloading,
    /// Counts bytes unpacked from wheels.
    Unpacking,
    /// Counts bytes read from files to compare them with their checksums.
    Verifying,
}

/// The progress callback that the user of this library passes.
pub(crate) type Callback<'a> = &'a mut dyn FnMut(Progress<'_>) -> ControlFlow<()>;

/// Counts the bytes of the current phase, calls the progress callback, and returns an error if the callback cancels.
pub(crate) struct Reporter<'a> {
    callback: Callback<'a>,
    bytes: u64,
}

impl<'a> Reporter<'a> {
    pub(crate) fn new(callback: Callback<'a>) -> Self {
        Self { callback, bytes: 0 }
    }

    pub(crate) fn report(&mut self, progress: Progress<'_>) -> Result<(), Error> {
        match (self.callback)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }

    pub(crate) fn start(&mut self, phase: Phase, total: Option<u64>) -> Result<(), Error> {
        self.bytes = 0;
        self.report(Progress::Started { phase, total })
    }

    /// The number of bytes processed in the current phase.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn set(&mut self, bytes: u64) -> Result<(), Error> {
        self.bytes = bytes;
        self.tick()
    }

    pub(crate) fn add(&mut self, bytes: u64) -> Result<(), Error> {
        self.set(self.bytes + bytes)
    }

    /// Calls the progress callback without new bytes, so that the callback can cancel the operation.
    pub(crate) fn tick(&mut self) -> Result<(), Error> {
        self.report(Progress::Advanced { bytes: self.bytes })
    }
}
