//! What may be wrong with jobs.

use std::io;

use amanuensis_audio::Error as AudioError;

/// Why something cannot be done with jobs.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// There is none with this name, or not any more.
    #[error("there is no such job")]
    NotFound,
    /// As many wait as may.
    #[error("too many jobs are waiting")]
    QueueFull,
    /// It has not succeeded, or not yet.
    #[error("there is no result: the job is {0}")]
    NoResult(super::JobState),
    /// It is no recording that can be transcribed.
    #[error(transparent)]
    Recording(AudioError),
    /// The server may not read files of its own machine.
    #[error("this server has no folder of recordings; upload the file")]
    NoFolder,
    /// The folder does not hold such a file.
    #[error("the folder of recordings holds no file {0:?}")]
    NotInFolder(String),
    /// Another server uses the directory.
    #[error("another server uses the data directory")]
    InUse,
    /// The jobs were kept by a newer version of this program.
    #[error("the jobs in the data directory were kept by a newer version of this program")]
    TooNew,
    /// The database fails.
    #[error("the job database: {0}")]
    Database(#[from] rusqlite::Error),
    /// What the database holds cannot be understood.
    #[error("the job database holds what cannot be read: {0}")]
    InvalidContent(#[from] serde_json::Error),
    /// No process can be started for a recording.
    #[error("no decoder can be started: {0}")]
    DecoderStart(io::Error),
    /// The files in the data directory fail.
    #[error("the files of jobs: {0}")]
    Io(#[from] io::Error),
}
