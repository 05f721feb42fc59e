//! Opens recordings, either in a worker process or in this process.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use amanuensis_audio::{Audio, Error as AudioError};

use crate::cancellation::{CancellableFile, IsCancelled};
use crate::exit::WorkerExit;
use crate::process::WorkerProcess;

/// Where recordings are decoded.
#[derive(Debug, Clone)]
pub enum Decoder {
    /// In a worker process. Each recording gets its own process.
    Worker {
        /// The program to start. It must call [`run_worker`](crate::run_worker) if its first argument is
        /// [`WORKER_ARGUMENT`](crate::WORKER_ARGUMENT).
        program: PathBuf,
        /// Memory limit of each worker process, in MiB.
        memory_mib: u64,
    },
    /// In this process, without resource limits.
    InProcess,
}

/// A mono WAV file (8 kHz, 8 bit) with four silent samples.
const SHORT_RECORDING: &[u8] =
    b"RIFF\x28\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\x04\0\0\0\x80\x80\x80\x80";

/// The reason why a recording could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The worker process cannot be started. The recording is not the cause.
    #[error("cannot start a decoder: {0}")]
    Start(io::Error),
    /// The worker process was [killed from outside](WorkerExit::killed).
    #[error("{0}")]
    Killed(String),
    /// The recording cannot be decoded, exceeds the limits, or its decoding was cancelled.
    #[error(transparent)]
    Audio(AudioError),
}

impl Decoder {
    /// Opens the recording in `file`. Blocks until the decoder knows the audio format. Reading the samples blocks,
    /// too.
    ///
    /// `is_cancelled` is called often, from the thread that opens or reads. Once it returns true, the worker is
    /// killed and reading fails within 50 ms. Dropping the [`Audio`] kills the worker, too. If reading fails without
    /// a cancellation, ask [`WorkerExit::killed`] whether the worker was killed from outside. In that case the
    /// recording is not the cause of the failure.
    ///
    /// # Errors
    /// Any [`OpenError`].
    pub fn open(
        &self,
        file: File,
        is_cancelled: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<(Audio, WorkerExit), OpenError> {
        let (is_cancelled, exit): (IsCancelled, _) = (Box::new(is_cancelled), WorkerExit::default());
        let opened = match self {
            Self::Worker { program, memory_mib } => {
                let process = WorkerProcess::start(program, *memory_mib, file, is_cancelled, exit.clone());
                Audio::from_relay(process.map_err(OpenError::Start)?)
            }
            Self::InProcess => Audio::from_source(CancellableFile { file, is_cancelled }),
        };
        match (opened, exit.killed()) {
            (Ok(audio), _) => Ok((audio, exit)),
            (Err(_), Some(reason)) => Err(OpenError::Killed(reason.to_owned())),
            (Err(error), None) => Err(OpenError::Audio(error)),
        }
    }

    /// Decodes a recording of four samples, to check at start-up whether decoding works at all.
    ///
    /// # Errors
    /// Any [`OpenError`]. In that case no recording can be decoded, whatever it contains.
    pub fn check(&self) -> Result<(), OpenError> {
        let mut file = tempfile::tempfile().map_err(OpenError::Start)?;
        file.write_all(SHORT_RECORDING).map_err(OpenError::Start)?;
        self.open(file, || false)?.0.next_block().map_err(OpenError::Audio).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_in_this_process_passes_the_check() {
        Decoder::InProcess.check().unwrap();
    }

    #[test]
    fn a_missing_program_is_a_start_error() {
        let decoder = Decoder::Worker { program: PathBuf::from("/no/such/program"), memory_mib: 64 };
        assert!(matches!(decoder.check(), Err(OpenError::Start(_))));
    }

    #[test]
    fn a_cancelled_recording_cannot_be_opened() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(SHORT_RECORDING).unwrap();
        let error = Decoder::InProcess.open(file, || true).err().unwrap();
        assert!(matches!(error, OpenError::Audio(_)), "{error}");
    }
}
