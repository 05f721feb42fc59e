//! Converts the settings that a client has sent into settings for the live session.

use super::session_params::SessionParams;
use crate::error::ApiError;
use crate::live::SessionSettings;
use crate::state::AppState;
use crate::transcription::TranscriptionError;

/// Names of `OpenAI` models for live speech. On this server they select the default model.
const REALTIME_ALIASES: [&str; 2] = ["gpt-realtime-whisper", "gpt-live-transcribe"];

/// Loads the model that `params` names, and checks that it supports the settings.
///
/// # Errors
/// An [`ApiError`] if the model cannot be loaded or does not support the settings.
pub async fn load(state: &AppState, params: &SessionParams) -> Result<SessionSettings, ApiError> {
    let model = if REALTIME_ALIASES.contains(&params.model.as_str()) { "whisper-1" } else { &params.model };
    let transcriber = state.pool.get(model).await?;
    let options = params.options();
    transcriber.check(&options).map_err(TranscriptionError::Transcribe)?;
    if let Some(utterances) = params.utterances {
        if transcriber.vad().is_none() {
            let message = "turn detection needs the model silero-vad, which is not installed (`amanuensis models pull silero-vad`)";
            return Err(ApiError::invalid(message).with_param("turn_detection"));
        }
        let error = |error| ApiError::from(TranscriptionError::Transcribe(error)).with_param("turn_detection");
        utterances.check().map_err(error)?;
    }
    Ok(SessionSettings {
        transcriber,
        options,
        utterances: params.utterances,
        format: params.audio.format,
        rate: params.audio.rate_hz,
    })
}
