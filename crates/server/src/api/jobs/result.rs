//! `GET /v1/jobs/{id}/result`: the transcript of a job.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::store::run_blocking;
use crate::api::error_responses::ErrorResponses;
use crate::api::form::fields::parse_variant;
use crate::api::rejections::{path_id, query_error};
use crate::api::response::{JsonBody, ResponseParts, transcript_response};
use crate::api::response_format::ResponseFormat;
use crate::error::{ApiError, ErrorBody};
use crate::state::AppState;

/// The query parameters of a request for a transcript.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ResultParams {
    /// Format of the transcript; the same values as for `response_format` of a transcription. The default is `json`.
    #[param(value_type = Option<ResponseFormat>, nullable = false)]
    format: Option<String>,
}

/// Get the transcript of a job that has succeeded
#[utoipa::path(
    get, path = "/v1/jobs/{id}/result", tag = "Jobs", operation_id = "retrieveResult",
    params(("id" = String, Path, description = "The job's id"), ResultParams),
    responses(
        (status = 200, content((JsonBody = "application/json"), (String = "text/plain"))),
        (status = 404, body = ErrorBody, description = "There is no such job"),
        (status = 409, body = ErrorBody, description = "The job has not succeeded"),
        ErrorResponses,
    )
)]
pub async fn result(
    State(state): State<Arc<AppState>>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<ResultParams>, QueryRejection>,
) -> Result<Response, ApiError> {
    let id = path_id(id)?;
    let Query(ResultParams { format }) = query.map_err(|rejection| query_error(&rejection))?;
    let format = format.map(|format| parse_variant("format", &format)).transpose()?.unwrap_or_default();
    let (job, transcript) = run_blocking(&state, move |jobs| Ok((jobs.get(&id)?, jobs.result(&id)?))).await?;
    let words = job.params.options.word_timestamps;
    let parts = ResponseParts { segments: true, words, ..ResponseParts::default() };
    transcript_response(&transcript, format, parts, None)
}
