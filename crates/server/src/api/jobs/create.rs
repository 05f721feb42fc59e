//! `POST /v1/jobs`: submits a recording that is transcribed in the background.

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
/// The client either uploads the recording as `file`, or names a file in the server's folder of recordings with
/// `path`. When the response arrives, the job has been stored on disk. It will be transcribed even if the server is
/// restarted.
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
    // Check the queue before the upload, so that the client does not upload a large file for nothing.
    if run_blocking(&state, |jobs| jobs.is_queue_full()).await? {
        return Err(drain::before_error(JobError::QueueFull.into(), request).await);
    }
    let (mut params, upload) = form::read(Form::receive_in(Some(uploads), &state, request).await?)?;
    // Store the real name of the model instead of an alias such as `whisper-1`. The alias may select another default
    // model by the time the job is started.
    params.model = state.pool.find(&params.model)?.name;
    let checked = jobs(&state)?.check(&params, upload.as_deref()).await.map_err(ApiError::from);
    checked.map_err(|error| if upload.is_some() { error } else { error.with_param("path") })?;
    match state.pool.get(&params.model).await {
        Ok(transcriber) => transcriber.check(&params.options).map_err(TranscriptionError::Transcribe)?,
        // At the moment, other models are in use and take up all memory for models. This is no reason to reject the
        // job, because it can wait in the queue.
        Err(PoolError::MemoryFull) => {}
        Err(error) => return Err(error.into()),
    }
    let job = run_blocking(&state, move |jobs| jobs.submit(&params, upload)).await?;
    Ok((StatusCode::CREATED, Json(job.into())))
}
