//! A job and its state.

use std::fmt;
use std::str::FromStr;

use amanuensis_transcribe::TranscribeOptions;

/// What a client asks for when it submits a job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobParams {
    /// A display name, chosen by the client.
    pub name: Option<String>,
    /// The recording, relative to the server's folder of recordings. `None` if the recording was uploaded.
    pub path: Option<String>,
    /// The name of an installed model.
    pub model: String,
    /// The transcription options.
    pub options: TranscribeOptions,
}

/// A job and its progress.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// `job_` and 32 hexadecimal digits.
    pub id: String,
    /// What the client asked for.
    pub params: JobParams,
    /// The state.
    pub state: JobState,
    /// When it was submitted, in seconds since 1970.
    pub created: i64,
    /// When it was first started, in seconds since 1970.
    pub started: Option<i64>,
    /// When it succeeded, failed or was cancelled, in seconds since 1970.
    pub finished: Option<i64>,
    /// Seconds of the recording that are transcribed.
    pub done: f64,
    /// Duration of the recording in seconds. An estimate of the file's header until the job has succeeded.
    pub total: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
    /// Warnings about the recording, once the job has succeeded.
    pub warnings: Vec<String>,
}

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It waits in the queue.
    Queued,
    /// It is being transcribed.
    Running,
    /// Its transcript is complete.
    Succeeded,
    /// It could not be transcribed to the end.
    Failed,
    /// A client cancelled it.
    Cancelled,
}

impl JobState {
    const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The name in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the state cannot change any more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is no name of a [`JobState`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a job is queued, running, succeeded, failed or cancelled")]
pub struct UnknownState;

impl FromStr for JobState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.name() == text).ok_or(UnknownState)
    }
}
