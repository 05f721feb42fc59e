//! How a long operation tells its caller where it is, and how the caller stops it.

use std::ops::ControlFlow;

use crate::Error;

/// One step of a pull or a verification.
///
/// The callback sees every step and answers [`ControlFlow::Continue`], or [`ControlFlow::Break`] to stop: the operation
/// then returns [`Error::Cancelled`] within about a tenth of a second and keeps what can be resumed. Nothing is printed
/// by this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// Another process is pulling or removing this model; this one waits for it.
    Waiting {
        /// The model's name.
        model: &'a str,
    },
    /// A source is about to be tried.
    Source {
        /// The source, for people to read, such as `Hugging Face hub (Systran/faster-whisper-base)`.
        source: &'a str,
    },
    /// A source failed; the next one, if there is one, is tried.
    SourceFailed {
        /// The source, as in [`Progress::Source`].
        source: &'a str,
        /// Why it failed, in one line.
        reason: &'a str,
    },
    /// A phase begins: a progress bar starts at zero.
    Started {
        /// What is being done.
        phase: Phase,
        /// The bytes to be done in this phase, where that is known.
        total: Option<u64>,
    },
    /// Work goes on. Sent at least ten times a second, even while nothing arrives.
    Advanced {
        /// Bytes done in this phase, of its total. Falls when something has to be done again.
        bytes: u64,
    },
    /// A file was compared with its checksum, or with its size where no checksum is known.
    Verified {
        /// The file's name.
        file: &'a str,
    },
}

/// What the bytes of [`Progress::Advanced`] are bytes of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Bytes that came over the network, or were there from an earlier try.
    Downloading,
    /// Bytes unpacked from wheels.
    Unpacking,
    /// Bytes read and compared with their checksum.
    Verifying,
}

/// The caller's function.
pub(crate) type Callback<'a> = &'a mut dyn FnMut(Progress<'_>) -> ControlFlow<()>;

/// Counts bytes and turns the caller's wish to stop into an error.
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

    /// Nothing new; asks whether to go on.
    pub(crate) fn tick(&mut self) -> Result<(), Error> {
        self.report(Progress::Advanced { bytes: self.bytes })
    }
}
