//! Runs a transcription or translation request whose form has been received.

use std::sync::Arc;
use std::time::Instant;

use amanuensis_transcribe::TranscribeOptions;
use axum::response::Response;

use super::form::upload::Upload;
use super::response::{ResponseParts, transcript_response};
use super::response_format::ResponseFormat;
use super::stream;
use crate::error::ApiError;
use crate::state::AppState;
use crate::transcription::{self, TranscriptionError};

/// The parameters of a transcription or translation request.
pub struct RequestParams {
    pub upload: Upload,
    /// The model's name as the client sent it.
    pub model: String,
    pub options: TranscribeOptions,
    pub format: ResponseFormat,
    /// Whether to stream the text while the recording is transcribed.
    pub stream: bool,
    pub parts: ResponseParts,
}

/// Waits until the request may be transcribed, transcribes the recording, and returns the response.
///
/// # Errors
/// An [`ApiError`] if the queue is full, or if the recording cannot be transcribed.
pub async fn run(state: &Arc<AppState>, params: RequestParams) -> Result<Response, ApiError> {
    let RequestParams { upload, model, options, format, stream, parts } = params;
    state.pool.find(&model)?;
    let queue_slot = state.limits.try_queue_slot().ok_or_else(|| state.overloaded("too many requests are waiting"))?;
    let active_slot = queue_slot.activate().await;
    let transcriber = state.pool.get(&model).await?;
    transcriber.check(&options).map_err(TranscriptionError::Transcribe)?;
    let (start, path) = (Instant::now(), upload.path().to_owned());
    // When the transcription thread finishes, it frees the slot of the request and deletes the uploaded file. Both
    // are kept until then, even if the client disconnects earlier.
    let guards = (active_slot, upload);
    let running = transcription::start(
        Arc::clone(&transcriber),
        state.decoder.clone(),
        path,
        options,
        state.transcription_limits(),
        guards,
    );
    if stream {
        return stream::event_stream(state, running, transcriber, parts).await;
    }
    let transcript = running.transcript().await?;
    state.metrics.record_transcription(transcript.duration, start.elapsed().as_secs_f64());
    transcript_response(&transcript, format, parts, Some(&transcriber))
}
