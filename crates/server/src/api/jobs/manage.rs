//! Lists jobs (`GET /v1/jobs`), gets a job (`GET /v1/jobs/{id}`), and cancels or removes a job (`DELETE
//! /v1/jobs/{id}`).

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::status::{JobStatus, StateName};
use super::store::run_blocking;
use crate::api::error_responses::ErrorResponses;
use crate::api::rejections::{path_id, query_error};
use crate::error::{ApiError, ErrorBody};
use crate::state::AppState;

/// The maximum number of jobs in a list if the request does not set `limit`.
const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;

/// A list of jobs, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobList {
    /// Always `list`.
    object: &'static str,
    data: Vec<JobStatus>,
    /// Whether there are older jobs. To list them, set `after` to the id of the last job in this list.
    has_more: bool,
}

/// Which jobs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// The maximum number of jobs in the list.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
    /// List only jobs that are older than the job with this id.
    after: Option<String>,
    /// List only jobs in this state.
    #[param(value_type = Option<StateName>, nullable = false)]
    state: Option<String>,
}

/// The response after a job that had already ended was removed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Removed {
    id: String,
    /// Always `job`.
    object: &'static str,
    /// Always `true`.
    deleted: bool,
}

/// What deleting a job did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Deleted {
    /// The job had ended and was removed.
    Removed(Removed),
    /// The job was queued or running and was cancelled.
    Cancelled(Box<JobStatus>),
}

/// List the jobs, newest first
#[utoipa::path(
    get, path = "/v1/jobs", tag = "Jobs", operation_id = "listJobs", params(ListParams),
    responses(
        (status = 200, body = JobList),
        (status = 404, body = ErrorBody, description = "There is no job with the id `after`"),
        ErrorResponses,
    )
)]
pub async fn list(
    State(state): State<Arc<AppState>>,
    query: Result<Query<ListParams>, QueryRejection>,
) -> Result<Json<JobList>, ApiError> {
    let Query(ListParams { limit, after, state: in_state }) = query.map_err(|rejection| query_error(&rejection))?;
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::invalid(format!("limit must be between 1 and {MAX_LIMIT}")).with_param("limit"));
    }
    let in_state = in_state.map(|name| StateName::parse(&name)).transpose()?;
    // Request one job more than the limit, to find out whether there are older jobs.
    let mut found = run_blocking(&state, move |jobs| jobs.list(limit + 1, after.as_deref(), in_state)).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    Ok(Json(JobList { object: "list", data: found.into_iter().map(JobStatus::from).collect(), has_more }))
}

/// Get a job and its text so far
#[utoipa::path(
    get, path = "/v1/jobs/{id}", tag = "Jobs", operation_id = "retrieveJob",
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 200, body = JobStatus),
        (status = 404, body = ErrorBody, description = "There is no such job"),
        ErrorResponses,
    )
)]
pub async fn retrieve(
    State(state): State<Arc<AppState>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<JobStatus>, ApiError> {
    let id = path_id(id)?;
    let (job, segments) = run_blocking(&state, move |jobs| Ok((jobs.get(&id)?, jobs.segments(&id, 0)?))).await?;
    let text: String = segments.iter().map(|segment| segment.text.as_str()).collect();
    Ok(Json(JobStatus::from(job).with_text(text.trim().to_owned())))
}

/// Cancel or remove a job
///
/// A queued or running job is cancelled, and its text so far is kept. A job that has ended is removed together with
/// its transcript.
#[utoipa::path(
    delete, path = "/v1/jobs/{id}", tag = "Jobs", operation_id = "deleteJob",
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 200, body = Deleted),
        (status = 404, body = ErrorBody, description = "There is no such job"),
        ErrorResponses,
    )
)]
pub async fn delete(
    State(state): State<Arc<AppState>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Deleted>, ApiError> {
    let id = path_id(id)?;
    let cancelled_id = id.clone();
    Ok(Json(match run_blocking(&state, move |jobs| jobs.cancel(&cancelled_id)).await? {
        Some(job) => Deleted::Cancelled(Box::new(job.into())),
        None => Deleted::Removed(Removed { id, object: "job", deleted: true }),
    }))
}
