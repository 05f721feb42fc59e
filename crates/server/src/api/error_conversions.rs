//! Converts the errors of other modules and crates to [`ApiError`], the error of an HTTP response.

use amanuensis_transcribe::{AudioError, AudioErrorKind, Error as TranscribeError};
use axum::http::StatusCode;

use crate::error::ApiError;
use crate::jobs::JobError;
use crate::pool::PoolError;
use crate::transcription::TranscriptionError;

impl From<PoolError> for ApiError {
    fn from(error: PoolError) -> Self {
        let message = error.to_string();
        match error {
            PoolError::Unknown { .. } => Self::not_found(message).with_param("model").with_code("model_not_found"),
            PoolError::MemoryFull => Self::overloaded(message, 5),
            PoolError::TooLarge { .. } => Self::invalid(message).with_param("model").with_code("model_too_large"),
            PoolError::Load { .. } => Self::internal(message),
        }
    }
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        let message = error.to_string();
        match error {
            JobError::NotFound => Self::not_found(message).with_code("job_not_found"),
            JobError::QueueFull => Self::overloaded(message, 60),
            JobError::NoResult(_) => Self::invalid(message).with_status(StatusCode::CONFLICT).with_code("no_result"),
            JobError::Recording(error) => from_audio(&error),
            JobError::NoFolder => Self::invalid(message).with_param("path"),
            JobError::NotInFolder(_) => Self::not_found(message).with_param("path"),
            JobError::InUse
            | JobError::TooNew
            | JobError::Database(_)
            | JobError::InvalidContent(_)
            | JobError::DecoderStart(_)
            | JobError::Io(_) => Self::internal(message),
        }
    }
}

impl From<TranscriptionError> for ApiError {
    fn from(error: TranscriptionError) -> Self {
        let message = error.to_string();
        match error {
            TranscriptionError::Audio(error) => from_audio(&error),
            TranscriptionError::DecoderStart(_) => Self::overloaded(message, 5),
            TranscriptionError::DecoderKilled(_) => Self::overloaded(message, 5).with_code("decoder_killed"),
            TranscriptionError::Transcribe(error) => from_transcribe(&error),
            TranscriptionError::Incomplete { .. } => Self::unprocessable(message).with_param("file"),
            TranscriptionError::TooLong(_) => Self::too_large(message).with_param("file"),
            TranscriptionError::TimedOut(_) => Self::unprocessable(message).with_param("file").with_code("timed_out"),
            TranscriptionError::Cancelled => Self::overloaded(message, 10),
        }
    }
}

fn from_audio(error: &AudioError) -> ApiError {
    let message = error.to_string();
    let error = match error.kind() {
        // Do not send the original error message, because it contains a file path of the server.
        AudioErrorKind::Unreadable => return ApiError::internal("the recording cannot be read"),
        AudioErrorKind::Empty => ApiError::invalid(message).with_code("empty_file"),
        AudioErrorKind::Unsupported => ApiError::unsupported(message),
        AudioErrorKind::Undecodable => ApiError::unprocessable(message),
    };
    error.with_param("file")
}

fn from_transcribe(error: &TranscribeError) -> ApiError {
    let message = error.to_string();
    match error {
        TranscribeError::Audio(error) => from_audio(error),
        TranscribeError::Options(_) => ApiError::invalid(message),
        TranscribeError::EnglishOnly { .. } | TranscribeError::LanguageNotKnown { .. } => {
            ApiError::invalid(message).with_param("language")
        }
        TranscribeError::CannotTranslate { .. } => ApiError::invalid(message).with_param("model"),
        TranscribeError::NoLanguageDetected { .. } => ApiError::unprocessable(message),
        _ => ApiError::internal(message),
    }
}
