//! From what is asked to the answer, for transcriptions and translations alike.

use std::sync::Arc;
use std::time::Instant;

use amanuensis_transcribe::TranscribeOptions;
use axum::response::Response;

use super::answer::{self, Format, Parts};
use super::form::{Form, Upload};
use super::stream;
use crate::error::ApiError;
use crate::state::AppState;
use crate::transcription::{self, TranscriptionError};

/// What a request asks for.
pub struct Asked {
    /// The recording.
    pub upload: Upload,
    /// The model's name, as the client has it.
    pub model: String,
    /// What to make of the recording.
    pub options: TranscribeOptions,
    /// The form of the answer.
    pub format: Format,
    /// Whether to send the text as it is found.
    pub stream: bool,
    /// What the answer has.
    pub parts: Parts,
}

/// Answers when the request's turn has come.
pub async fn run(state: &Arc<AppState>, asked: Asked) -> Result<Response, ApiError> {
    let Asked { upload, model, options, format, stream, parts } = asked;
    state.pool.find(&model)?;
    let queue_slot = state.limits.try_queue_slot().ok_or_else(|| state.overloaded("too many requests are waiting"))?;
    let active_slot = queue_slot.activate().await;
    let transcriber = state.pool.get(&model).await?;
    transcriber.check(&options).map_err(TranscriptionError::Transcribe)?;
    let (start, path) = (Instant::now(), upload.path().to_owned());
    let running = transcription::start(
        Arc::clone(&transcriber),
        state.decoder.clone(),
        path,
        options,
        state.transcription_limits(),
        (active_slot, upload),
    );
    if stream {
        return stream::answer(state, running, transcriber, parts).await;
    }
    let transcript = running.transcript().await?;
    state.metrics.record_transcription(transcript.duration, start.elapsed().as_secs_f64());
    answer::answer(&transcript, format, parts, Some(&transcriber))
}

/// The temperatures from the one that is asked for upwards: a text that is not believed is decoded at the next.
pub fn temperatures(form: &mut Form) -> Result<Vec<f32>, ApiError> {
    let first = form.value::<f32>("temperature")?.unwrap_or(0.0);
    if !(0.0..=1.0).contains(&first) || (first > 0.0 && first < 0.01) {
        return Err(ApiError::invalid("the temperature is 0, or lies between 0.01 and 1").with_param("temperature"));
    }
    let default = TranscribeOptions::default().temperatures;
    Ok(std::iter::once(first).chain(default.into_iter().filter(|next| *next > first)).collect())
}

/// Says that there are no speakers, to those who ask for them.
pub fn refuse_speakers(form: &mut Form) -> Result<(), ApiError> {
    let refuse = |param: &str| {
        let message = "speakers cannot be told apart: nothing for that is installed";
        Err(ApiError::invalid(message).with_param(param).with_code("speakers_not_installed"))
    };
    for name in ["known_speaker_names", "known_speaker_references"] {
        if !form.list(name).is_empty() {
            return refuse(name);
        }
    }
    if form.peek("model") == Some("gpt-4o-transcribe-diarize") {
        return refuse("model");
    }
    if form.peek("response_format") == Some("diarized_json") {
        return refuse("response_format");
    }
    Ok(())
}
