//! Rejects the options for speaker diarization (who speaks when) in `OpenAI`'s API. This server does not support
//! diarization.

use super::fields::Fields;
use super::multipart::Form;
use crate::error::ApiError;

/// The name of `OpenAI`'s diarization model, and the response format with speaker labels.
const DIARIZING_MODEL: &str = "gpt-4o-transcribe-diarize";
const DIARIZED_FORMAT: &str = "diarized_json";

/// Rejects a form that asks for speaker diarization.
///
/// # Errors
/// An [`ApiError`] with status 400 and the code `speakers_not_installed`.
pub fn reject(form: &mut Form) -> Result<(), ApiError> {
    let error = |param: &str| {
        let message = "speaker diarization is not supported";
        Err(ApiError::invalid(message).with_param(param).with_code("speakers_not_installed"))
    };
    for name in ["known_speaker_names", "known_speaker_references"] {
        if !form.list(name).is_empty() {
            return error(name);
        }
    }
    if form.peek("model") == Some(DIARIZING_MODEL) {
        return error("model");
    }
    if form.peek("response_format") == Some(DIARIZED_FORMAT) {
        return error("response_format");
    }
    Ok(())
}
