//! `POST /v1/jobs`, `GET /v1/jobs`, and `GET` and `DELETE` of one job: long recordings that nobody waits for at a
//! connection.

pub mod events;
mod form;
pub mod result;

use std::sync::Arc;

use amanuensis_transcribe::Task;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};

use self::form::JobForm;
use super::form::Form;
use super::gate;
use super::query;
use super::refusals::{FormRefusals, Refusals};
use super::values::{StateName, TaskName};
use crate::error::{ApiError, ErrorBody};
use crate::jobs::{Job, JobError, JobState, Jobs};
use crate::pool::PoolError;
use crate::state::AppState;
use crate::transcription::TranscriptionError;

/// Jobs that are listed at once.
const LISTED: usize = 20;
const MOST_LISTED: usize = 100;

/// A job, and how far it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobStatus {
    id: String,
    /// `job`.
    object: &'static str,
    #[schema(value_type = StateName)]
    state: &'static str,
    /// What it was called.
    name: Option<String>,
    /// The file of the server's folder, where it was not uploaded.
    path: Option<String>,
    model: String,
    #[schema(value_type = TaskName)]
    task: &'static str,
    /// When it was submitted, in seconds since 1970.
    created_at: i64,
    /// When work on it began.
    started_at: Option<i64>,
    /// When it ended.
    finished_at: Option<i64>,
    /// Seconds of the recording that are transcribed.
    done: f64,
    /// Seconds of the recording, as far as it says.
    duration: Option<f64>,
    /// The part of it that is done, as far as the recording says how long it is.
    #[schema(minimum = 0, maximum = 1)]
    progress: Option<f64>,
    /// Why it failed.
    error: Option<String>,
    /// The text so far, where one job is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// What was odd about the recording of a job that has succeeded.
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
            state: job.state.name(),
            name: job.params.name,
            path: job.params.path,
            model: job.params.model,
            task: if job.params.options.task == Task::Translate { "translate" } else { "transcribe" },
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

/// Jobs, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobList {
    /// `list`.
    object: &'static str,
    data: Vec<JobStatus>,
    /// Whether there are older ones: ask for those `after` the last of these.
    has_more: bool,
}

/// Which jobs are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Listed {
    /// How many, at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
    /// Those that are older than the job of this id.
    after: Option<String>,
    /// Those in this state.
    #[param(value_type = Option<StateName>, nullable = false)]
    state: Option<String>,
}

/// A job that was removed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Removed {
    id: String,
    /// `job`.
    object: &'static str,
    /// `true`.
    deleted: bool,
}

/// What has become of a job that is no longer wanted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Deleted {
    /// It was removed.
    Removed(Removed),
    /// It was cancelled.
    Cancelled(Box<JobStatus>),
}

/// Submit a long recording
///
/// Uploaded as `file`, or named by `path` in the folder of recordings, if the server has one. Once this is answered, the job
/// is kept, and done whatever happens to the server.
#[utoipa::path(
    post, path = "/v1/jobs", tag = "Jobs", operation_id = "createJob",
    request_body(content = JobForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, body = JobStatus),
        FormRefusals,
    )
)]
pub async fn create(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<(StatusCode, Json<JobStatus>), ApiError> {
    let uploads = jobs(&state)?.uploads().to_owned();
    // Nobody should send a gigabyte to hear that.
    if on_disk(&state, Jobs::is_queue_full).await? {
        return Err(gate::refuse(JobError::QueueFull.into(), request).await);
    }
    let (mut asked, upload) = form::read(Form::receive_in(Some(uploads), &state, request).await?)?;
    // The default model may be another when the job's turn comes.
    asked.model = state.pool.find(&asked.model)?.name;
    let checked = jobs(&state)?.check(&asked, upload.as_deref()).await.map_err(ApiError::from);
    checked.map_err(|error| if upload.is_some() { error } else { error.with_param("path") })?;
    match state.pool.get(&asked.model).await {
        Ok(transcriber) => transcriber.check(&asked.options).map_err(TranscriptionError::Transcribe)?,
        // The job can wait for room.
        Err(PoolError::MemoryFull) => {}
        Err(error) => return Err(error.into()),
    }
    let job = on_disk(&state, move |jobs| jobs.submit(&asked, upload)).await?;
    Ok((StatusCode::CREATED, Json(job.into())))
}

/// List the jobs, the newest first
#[utoipa::path(
    get, path = "/v1/jobs", tag = "Jobs", operation_id = "listJobs", params(Listed),
    responses(
        (status = 200, body = JobList),
        (status = 404, body = ErrorBody, description = "There is no job `after`"),
        Refusals,
    )
)]
pub async fn list(
    State(state): State<Arc<AppState>>,
    query: Result<Query<Listed>, QueryRejection>,
) -> Result<Json<JobList>, ApiError> {
    let Query(Listed { limit, after, state: of }) = query.map_err(|rejection| query::refuse(&rejection))?;
    let limit = limit.unwrap_or(LISTED);
    if !(1..=MOST_LISTED).contains(&limit) {
        let message = format!("from 1 to {MOST_LISTED} jobs can be listed at once");
        return Err(ApiError::invalid(message).with_param("limit"));
    }
    let of = of.map(|of| of.parse::<JobState>()).transpose();
    let of = of.map_err(|error| ApiError::invalid(error.to_string()).with_param("state"))?;
    let mut found = on_disk(&state, move |jobs| jobs.list(limit + 1, after.as_deref(), of)).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    Ok(Json(JobList { object: "list", data: found.into_iter().map(JobStatus::from).collect(), has_more }))
}

/// How a job stands, with its text so far
#[utoipa::path(
    get, path = "/v1/jobs/{id}", tag = "Jobs", operation_id = "retrieveJob",
    params(("id" = String, Path, description = "The job")),
    responses(
        (status = 200, body = JobStatus),
        (status = 404, body = ErrorBody, description = "No such job"),
        Refusals,
    )
)]
pub async fn retrieve(
    State(state): State<Arc<AppState>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<JobStatus>, ApiError> {
    let id = take_id(id)?;
    let (job, segments) = on_disk(&state, move |jobs| Ok((jobs.get(&id)?, jobs.segments(&id, 0)?))).await?;
    let text: String = segments.iter().map(|segment| segment.text.as_str()).collect();
    Ok(Json(JobStatus { text: Some(text.trim().to_owned()), ..job.into() }))
}

/// Cancel a job, or remove one that has ended
///
/// A job that waits or runs is cancelled, and stays with the text so far; one that has ended is removed with its transcript.
#[utoipa::path(
    delete, path = "/v1/jobs/{id}", tag = "Jobs", operation_id = "deleteJob",
    params(("id" = String, Path, description = "The job")),
    responses(
        (status = 200, body = Deleted),
        (status = 404, body = ErrorBody, description = "No such job"),
        Refusals,
    )
)]
pub async fn delete(
    State(state): State<Arc<AppState>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Deleted>, ApiError> {
    let id = take_id(id)?;
    let named = id.clone();
    Ok(Json(match on_disk(&state, move |jobs| jobs.cancel(&named)).await? {
        Some(job) => Deleted::Cancelled(Box::new(job.into())),
        None => Deleted::Removed(Removed { id, object: "job", deleted: true }),
    }))
}

/// The jobs, if the server takes any.
fn jobs(state: &AppState) -> Result<&Arc<Jobs>, ApiError> {
    state
        .jobs
        .as_ref()
        .ok_or_else(|| ApiError::overloaded("this server takes no jobs: it has no directory for them", 60))
}

/// Runs what waits for the disk.
async fn on_disk<T: Send + 'static>(
    state: &AppState,
    work: impl FnOnce(&Jobs) -> Result<T, JobError> + Send + 'static,
) -> Result<T, ApiError> {
    let jobs = Arc::clone(jobs(state)?);
    let done = spawn_blocking(move || work(&jobs)).await;
    Ok(done.map_err(|_| ApiError::internal("a fault of the server"))??)
}

fn take_id(id: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    let Path(id) = id.map_err(|rejection| ApiError::invalid(rejection.body_text()).with_param("id"))?;
    Ok(id)
}
