//! A job and its state.

use std::fmt;
use std::str::FromStr;

use amanuensis_transcribe::TranscribeOptions;

/// The parameters with which a client submits a job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobParams {
    /// A display name that the client has chosen. `None` if it has chosen none.
    pub name: Option<String>,
    /// The path of the recording, relative to the server's folder of recordings. `None` if the recording was
    /// uploaded.
    pub path: Option<String>,
    /// The name of the model that transcribes the recording.
    pub model: String,
    /// The options for transcribing the recording.
    pub options: TranscribeOptions,
}

/// A job and its progress.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The id: `job_` and 32 hexadecimal digits.
    pub id: String,
    /// The parameters with which the job was submitted.
    pub params: JobParams,
    /// The state of the job.
    pub state: JobState,
    /// When the job was submitted, in seconds since 1970.
    pub created: i64,
    /// When the job was first started, in seconds since 1970. `None` before that.
    pub started: Option<i64>,
    /// When the job succeeded, failed or was cancelled, in seconds since 1970. `None` before that.
    pub finished: Option<i64>,
    /// How many seconds of the recording have been transcribed.
    pub done: f64,
    /// The duration of the recording in seconds. Until the job has succeeded, this is an estimate from the header of
    /// the recording. `None` if it is not known.
    pub total: Option<f64>,
    /// The reason why the job failed. `None` if it did not fail.
    pub error: Option<String>,
    /// Warnings about the recording. Empty until the job has succeeded.
    pub warnings: Vec<String>,
}

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// The job waits in the queue.
    Queued,
    /// The job is being transcribed.
    Running,
    /// The transcript of the job is complete.
    Succeeded,
    /// The recording could not be transcribed completely.
    Failed,
    /// A client cancelled the job before it was finished.
    Cancelled,
}

impl JobState {
    const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The name of the state in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the job has ended, so that its state cannot change any more: succeeded, failed or cancelled.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The error for text that is not the name of a [`JobState`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a job is queued, running, succeeded, failed or cancelled")]
pub struct UnknownState;

impl FromStr for JobState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.name() == text).ok_or(UnknownState)
    }
}
