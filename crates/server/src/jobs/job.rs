//! What is known of a job.

use std::fmt;
use std::str::FromStr;

use amanuensis_transcribe::TranscribeOptions;

/// A job that is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct JobParams {
    /// What people call the job, if they call it something.
    pub name: Option<String>,
    /// A file of the server's folder, relative to it; the recording was uploaded where there is none.
    pub path: Option<String>,
    /// The name of an installed model.
    pub model: String,
    /// What to make of the recording.
    pub options: TranscribeOptions,
}

/// A job, and how far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its name for programs: `job_` and 32 hexadecimal digits.
    pub id: String,
    /// What was asked for.
    pub params: JobParams,
    /// How it stands.
    pub state: JobState,
    /// When it was submitted, in seconds since 1970.
    pub created: i64,
    /// When work on it first began, in seconds since 1970.
    pub started: Option<i64>,
    /// When it ended, in seconds since 1970.
    pub finished: Option<i64>,
    /// Seconds of the recording that are transcribed.
    pub done: f64,
    /// Seconds that the recording says it has, where it says so; exact once the job has succeeded.
    pub total: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
    /// What was odd about the recording, where the job has succeeded.
    pub warnings: Vec<String>,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It waits for its turn.
    Queued,
    /// It is being transcribed.
    Running,
    /// Its transcript is there.
    Succeeded,
    /// It cannot be transcribed, or not to its end.
    Failed,
    /// It was given up because somebody asked for it.
    Cancelled,
}

impl JobState {
    const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The name, for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing will change any more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a job is queued, running, succeeded, failed or cancelled")]
pub struct UnknownState;

impl FromStr for JobState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.name() == text).ok_or(UnknownState)
    }
}
