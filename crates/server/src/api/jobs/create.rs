//! `POST /v1/jobs`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::form::{self, JobForm};
use super::status::JobStatus;
use super::store::{jobs, run_blocking};
use crate::api::drain;
use crate::api::error_responses::UploadErrorResponses;
use crate::api::form::multipart::Form;
use crate::error::ApiError;
use crate::jobs::JobError;
use crate::pool::PoolError;
use crate::state::AppState;
use crate::transcription::TranscriptionError;

/// Submit a long recording
///
/// The recording is uploaded as `file`, or named by `path` in the server's folder of recordings, if it has one. After the
/// response the job is stored on disk, and is transcribed even if the server is restarted.
#[utoipa::path(
    post, path = "/v1/jobs", tag = "Jobs", operation_id = "createJob",
    request_body(content = JobForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, body = JobStatus),
        UploadErrorResponses,
    )
)]
pub async fn create(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<(StatusCode, Json<JobStatus>), ApiError> {
    let uploads = jobs(&state)?.uploads().to_owned();
    // Check this before the upload: the client should not send a gigabyte in vain.
    if run_blocking(&state, |jobs| jobs.is_queue_full()).await? {
        return Err(drain::before_error(JobError::QueueFull.into(), request).await);
    }
    let (mut params, upload) = form::read(Form::receive_in(Some(uploads), &state, request).await?)?;
    // Store the model's real name: the default model may be another one by the time the job is started.
    params.model = state.pool.find(&params.model)?.name;
    let checked = jobs(&state)?.check(&params, upload.as_deref()).await.map_err(ApiError::from);
    checked.map_err(|error| if upload.is_some() { error } else { error.with_param("path") })?;
    match state.pool.get(&params.model).await {
        Ok(transcriber) => transcriber.check(&params.options).map_err(TranscriptionError::Transcribe)?,
        // There is no memory for the model at the moment, but the job can wait.
        Err(PoolError::MemoryFull) => {}
        Err(error) => return Err(error.into()),
    }
    let job = run_blocking(&state, move |jobs| jobs.submit(&params, upload)).await?;
    Ok((StatusCode::CREATED, Json(job.into())))
}
