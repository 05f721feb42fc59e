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
use std::sync::{Arc, OnceLock};

use amanuensis_audio::{Audio, Error as AudioError};

use process::Process;
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
    InProcess,
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
    /// The process was [killed](Fate::killed).
    #[error("{0}")]
    Killed(String),
    /// The recording is.
    #[error(transparent)]
    Audio(AudioError),
}

/// What becomes of the process that decodes a recording.
#[derive(Debug, Clone, Default)]
pub struct Fate(Arc<OnceLock<String>>);

impl Fate {
    /// How the process was killed, if somebody did that other than this server and the limits that are its own, as a system
    /// does that has no memory left. Then the samples that came are the beginning of the recording, which is not to blame.
    pub fn killed(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// Whether work is still wanted.
type IsWanted = Box<dyn Fn() -> bool + Send + Sync>;

impl Decoder {
    /// Opens the recording in `file`, which can be read as long as it is wanted; where it cannot be read any more, the fate
    /// says whether that is its own fault. Waits for the recording, as reading it does, and belongs on a thread of a runtime
    /// that may be blocked, which has to be there until the recording has been read.
    ///
    /// # Errors
    /// Any [`OpenError`].
    pub fn open(
        &self,
        file: File,
        is_wanted: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<(Audio, Fate), OpenError> {
        let (is_wanted, fate): (IsWanted, _) = (Box::new(is_wanted), Fate::default());
        let opened = match self {
            Self::Worker { program, memory } => {
                let process = Process::start(program, *memory, file, is_wanted, fate.clone());
                Audio::from_relay(process.map_err(OpenError::Start)?)
            }
            Self::InProcess => Audio::from_source(Watched { file, is_wanted }),
        };
        match (opened, fate.killed()) {
            (Ok(audio), _) => Ok((audio, fate)),
            (Err(_), Some(reason)) => Err(OpenError::Killed(reason.to_owned())),
            (Err(error), None) => Err(OpenError::Audio(error)),
        }
    }

    /// Tries what decodes on a recording of four samples.
    ///
    /// # Errors
    /// Why no recording can be decoded, whatever is in it.
    pub fn check(&self) -> Result<(), OpenError> {
        let mut file = tempfile::tempfile().map_err(OpenError::Start)?;
        file.write_all(SHORTEST).map_err(OpenError::Start)?;
        self.open(file, || true)?.0.next_block().map_err(OpenError::Audio).map(drop)
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
