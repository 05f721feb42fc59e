//! The JSON object that describes a job in responses.

use amanuensis_transcribe::Task;
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::api::schemas::{TaskName, names_schema};
use crate::error::ApiError;
use crate::jobs::{Job, JobState};

/// All states that a job can have.
const STATES: [JobState; 5] =
    [JobState::Queued, JobState::Running, JobState::Succeeded, JobState::Failed, JobState::Cancelled];

/// The `OpenAPI` schema of a job state: a string with the name of the state.
pub struct StateName;

impl StateName {
    /// Parses the name of a job state.
    ///
    /// # Errors
    /// An [`ApiError`] with status 400 for the parameter `state` if no state has this name.
    pub fn parse(name: &str) -> Result<JobState, ApiError> {
        let names = || STATES.map(|state| state.to_string()).join(", ");
        let error = |_| ApiError::invalid(format!("state: expected one of {}", names())).with_param("state");
        name.parse().map_err(error)
    }
}

impl ToSchema for StateName {}

impl PartialSchema for StateName {
    fn schema() -> RefOr<Schema> {
        names_schema(STATES.map(|state| state.to_string()), "The state of a job.")
    }
}

/// A job and its progress.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobStatus {
    id: String,
    /// Always `job`.
    object: &'static str,
    #[schema(value_type = StateName)]
    state: String,
    /// The display name that the client has given the job.
    name: Option<String>,
    /// The path of the recording in the server's folder of recordings. Null if the recording was uploaded.
    path: Option<String>,
    model: String,
    #[schema(value_type = TaskName)]
    task: Task,
    /// When the client submitted the job, in seconds since 1970.
    created_at: i64,
    /// When the job was first started, in seconds since 1970. Null if it was not started yet.
    started_at: Option<i64>,
    /// When the job ended, in seconds since 1970. Null if it has not ended.
    finished_at: Option<i64>,
    /// How many seconds of the recording have been transcribed.
    done: f64,
    /// The duration of the recording in seconds. Null if it is not known.
    duration: Option<f64>,
    /// The fraction of the recording that has been transcribed. Null if the duration is not known.
    #[schema(minimum = 0, maximum = 1)]
    progress: Option<f64>,
    /// The reason why the job failed. Null if it did not fail.
    error: Option<String>,
    /// The text so far. It is sent only in responses for a single job.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Warnings about the recording of a job that has succeeded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl From<Job> for JobStatus {
    fn from(job: Job) -> Self {
        let progress = match (job.state, job.total) {
            (JobState::Succeeded, _) => Some(1.0),
            (_, Some(total)) if total > 0.0 => Some((job.done / total).min(1.0)),
            _ => None,
        };
        Self {
            id: job.id,
            object: "job",
            state: job.state.to_string(),
            name: job.params.name,
            path: job.params.path,
            model: job.params.model,
            task: job.params.options.task,
            created_at: job.created,
            started_at: job.started,
            finished_at: job.finished,
            done: job.done,
            duration: job.total,
            progress,
            error: job.error,
            text: None,
            warnings: job.warnings,
        }
    }
}

impl JobStatus {
    /// Returns this job object with the transcript text `text` added.
    #[must_use]
    pub fn with_text(self, text: String) -> Self {
        Self { text: Some(text), ..self }
    }
}
