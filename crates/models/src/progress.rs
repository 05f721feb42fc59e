//! Progress reports of long operations, and cancellation.

use std::ops::ControlFlow;

use crate::Error;

/// One step of a pull or a verification.
///
/// The callback gets every step. It returns [`ControlFlow::Continue`], or [`ControlFlow::Break`] to cancel: the operation
/// then returns [`Error::Cancelled`] within about 0.1 s and keeps the files with which it can be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// Waiting for another process that is pulling or removing this model.
    Waiting {
        /// The model's name.
        model: &'a str,
    },
    /// A source is about to be tried.
    Source {
        /// The source, as a text for users, such as `Hugging Face hub (Systran/faster-whisper-base)`.
        source: &'a str,
    },
    /// A source failed. The next source, if any, is tried.
    SourceFailed {
        /// The source, as in [`Progress::Source`].
        source: &'a str,
        /// Why it failed, on one line.
        reason: &'a str,
    },
    /// A phase starts, with zero bytes done.
    Started {
        /// The phase.
        phase: Phase,
        /// The number of bytes of this phase, if known.
        total: Option<u64>,
    },
    /// Bytes were processed. Sent at least ten times a second, even without any.
    Advanced {
        /// Bytes done in this phase. Decreases if something has to be downloaded again.
        bytes: u64,
    },
    /// A file was compared with its checksum, or with its size if no checksum is known.
    Verified {
        /// The file's name.
        file: &'a str,
    },
}

/// A phase of an operation: what its bytes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Bytes downloaded, including those of an earlier attempt.
    Downloading,
    /// Bytes unpacked from wheels.
    Unpacking,
    /// Bytes read to compare them with their checksum.
    Verifying,
}

/// The callback of the library's user.
pub(crate) type Callback<'a> = &'a mut dyn FnMut(Progress<'_>) -> ControlFlow<()>;

/// Counts bytes, calls the callback, and turns its `Break` into an error.
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

    /// The bytes done in this phase.
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

    /// Reports the same number of bytes again, so that the callback can cancel.
    pub(crate) fn tick(&mut self) -> Result<(), Error> {
        self.report(Progress::Advanced { bytes: self.bytes })
    }
}
