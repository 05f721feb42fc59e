//! `GET /v1/jobs/{id}/result`.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::answer::{Format, Json, Parts, answer};
use super::super::query;
use super::super::refusals::Refusals;
use super::{on_disk, take_id};
use crate::error::{ApiError, ErrorBody};
use crate::state::AppState;

/// The form of a result.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// As `response_format` of a transcription; `json` where it is not given.
    #[param(value_type = Option<Format>, nullable = false)]
    format: Option<String>,
}

/// The transcript of a job that has succeeded
#[utoipa::path(
    get, path = "/v1/jobs/{id}/result", tag = "Jobs", operation_id = "retrieveResult",
    params(("id" = String, Path, description = "The job"), Wanted),
    responses(
        (status = 200, content((Json = "application/json"), (String = "text/plain"))),
        (status = 404, body = ErrorBody, description = "No such job"),
        (status = 409, body = ErrorBody, description = "The job has not succeeded, or not yet"),
        Refusals,
    )
)]
pub async fn result(
    State(state): State<Arc<AppState>>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let id = take_id(id)?;
    let Query(Wanted { format }) = query.map_err(|rejection| query::refuse(&rejection))?;
    let format = format.map_or(Ok(Format::Json), |format| {
        format.parse().map_err(|error: &str| ApiError::invalid(error).with_param("format"))
    })?;
    let (job, transcript) = on_disk(&state, move |jobs| Ok((jobs.get(&id)?, jobs.result(&id)?))).await?;
    let parts = Parts { segments: true, words: job.params.options.word_timestamps, ..Parts::default() };
    answer(&transcript, format, parts, None)
}
