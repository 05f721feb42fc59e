//! Recordings are decoded in processes of their own, which may take so much memory and time and no more: whatever a file does to
//! a decoder, it does to its own request or job.
//!
//! `process` starts such a process for a recording and takes in what it decodes; `worker` is what runs in it, behind the
//! limits of `limits`. Where the server is given no program for that, it decodes by itself.

mod limits;
mod process;
mod worker;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use amanuensis_audio::{Audio, Error as AudioError};

pub use worker::{WORKER, decode_worker};

/// What decodes recordings.
#[derive(Debug, Clone)]
pub enum Decoder {
    /// A process for each.
    Worker {
        /// The program, which is a worker where [`WORKER`] is its first argument.
        program: PathBuf,
        /// Memory for each process, in MiB.
        memory: u64,
    },
    /// This process.
    Here,
}

/// A WAV file: one channel, 8 kHz, 8 bit, silent.
const SHORTEST: &[u8] =
    b"RIFF\x28\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\x04\0\0\0\x80\x80\x80\x80";

/// Why a recording cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no process for it, and the recording is not to blame.
    #[error("no decoder can be started: {0}")]
    Start(io::Error),
    /// The recording is.
    #[error(transparent)]
    Audio(AudioError),
}

/// Whether work is still wanted.
type IsWanted = Box<dyn Fn() -> bool + Send + Sync>;

impl Decoder {
    /// Opens the recording in `file`, which can be read as long as it is wanted. Waits for the recording, as reading it
    /// does, and belongs on a thread of a runtime that may be blocked.
    ///
    /// # Errors
    /// Any [`OpenError`].
    pub fn open(&self, file: File, is_wanted: impl Fn() -> bool + Send + Sync + 'static) -> Result<Audio, OpenError> {
        let is_wanted: IsWanted = Box::new(is_wanted);
        let opened = match self {
            Self::Worker { program, memory } => {
                Audio::from_relay(process::Process::start(program, *memory, file, is_wanted).map_err(OpenError::Start)?)
            }
            Self::Here => Audio::from_source(Watched { file, is_wanted }),
        };
        opened.map_err(OpenError::Audio)
    }

    /// Tries what decodes on a recording of four samples.
    ///
    /// # Errors
    /// Why no recording can be decoded, whatever is in it.
    pub fn check(&self) -> Result<(), OpenError> {
        let mut file = tempfile::tempfile().map_err(OpenError::Start)?;
        file.write_all(SHORTEST).map_err(OpenError::Start)?;
        self.open(file, || true)?.next_block().map_err(OpenError::Audio).map(drop)
    }
}

/// A file that cannot be read any more once it is not wanted, so that no demuxer goes on for ever.
struct Watched {
    file: File,
    is_wanted: IsWanted,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.is_wanted)() { self.file.read(buffer) } else { Err(not_wanted()) }
    }
}

impl Seek for Watched {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

fn not_wanted() -> io::Error {
    io::Error::other("no longer wanted")
}
