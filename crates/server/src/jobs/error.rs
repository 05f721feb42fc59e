//! Errors of the job queue.

use std::io;

use amanuensis_audio::Error as AudioError;

use super::job::JobState;

/// Why an operation on a job failed.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// No job has this id. The job may have been removed.
    #[error("there is no such job")]
    NotFound,
    /// The queue already has its maximum length.
    #[error("too many jobs are waiting")]
    QueueFull,
    /// The job has no transcript, because it has not succeeded. The value is the state of the job.
    #[error("there is no result: the job is {0}")]
    NoResult(JobState),
    /// The recording cannot be decoded.
    #[error(transparent)]
    Recording(AudioError),
    /// The server has no folder of recordings.
    #[error("this server has no folder of recordings; upload the file")]
    NoFolder,
    /// The folder of recordings has no such file.
    #[error("the folder of recordings holds no file {0:?}")]
    NotInFolder(String),
    /// Another server has locked the data directory.
    #[error("another server uses the data directory")]
    InUse,
    /// The database was written by a newer version of the program.
    #[error("the jobs in the data directory were stored by a newer version of this program")]
    TooNew,
    /// The database reported an error.
    #[error("the job database: {0}")]
    Database(#[from] rusqlite::Error),
    /// The database contains JSON that this version of the program cannot parse.
    #[error("the job database has invalid content: {0}")]
    InvalidContent(#[from] serde_json::Error),
    /// The operating system cannot start a worker process, which would decode the recording.
    #[error("cannot start a decoder: {0}")]
    DecoderStart(io::Error),
    /// A file in the data directory cannot be read or written.
    #[error("the files of jobs: {0}")]
    Io(#[from] io::Error),
}
