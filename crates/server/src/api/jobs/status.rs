//! The state of a job, as clients see it.

use amanuensis_transcribe::Task;
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::api::schemas::{TaskName, names_schema};
use crate::error::ApiError;
use crate::jobs::{Job, JobState};

/// Every state of a job.
const STATES: [JobState; 5] =
    [JobState::Queued, JobState::Running, JobState::Succeeded, JobState::Failed, JobState::Cancelled];

/// The name of a job's state.
pub struct StateName;

impl StateName {
    /// The state with this name.
    ///
    /// # Errors
    /// An [`ApiError`] with status 400 for the parameter `state` if there is none.
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
    /// `job`.
    object: &'static str,
    #[schema(value_type = StateName)]
    state: String,
    /// The name that the client has given the job.
    name: Option<String>,
    /// The path in the server's folder of recordings; null if the recording was uploaded.
    path: Option<String>,
    model: String,
    #[schema(value_type = TaskName)]
    task: Task,
    /// When the job was submitted, in seconds since 1970.
    created_at: i64,
    /// When the job was started.
    started_at: Option<i64>,
    /// When the job ended.
    finished_at: Option<i64>,
    /// How many seconds of the recording have been transcribed.
    done: f64,
    /// The duration of the recording in seconds, if the file states it.
    duration: Option<f64>,
    /// The transcribed fraction of the recording, if the file states its duration.
    #[schema(minimum = 0, maximum = 1)]
    progress: Option<f64>,
    /// Why the job failed.
    error: Option<String>,
    /// The text so far. Only in the response for a single job.
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
    /// The same with the text so far.
    #[must_use]
    pub fn with_text(self, text: String) -> Self {
        Self { text: Some(text), ..self }
    }
}
