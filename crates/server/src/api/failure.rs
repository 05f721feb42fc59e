//! What the failures of the parts below mean for a client.

use amanuensis_transcribe::{AudioError, Error as TranscribeError};

use crate::error::ApiError;
use crate::pool::PoolError;
use crate::work::Failure;

impl From<PoolError> for ApiError {
    fn from(error: PoolError) -> Self {
        let message = error.to_string();
        match error {
            PoolError::Unknown { .. } => Self::not_found(message).with_param("model").with_code("model_not_found"),
            PoolError::Full => Self::overloaded(message, 5),
            PoolError::TooLarge { .. } => Self::invalid(message).with_param("model").with_code("model_too_large"),
            PoolError::Load { .. } => Self::internal(message),
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        match failure {
            Failure::Audio(error) => of_audio(&error),
            Failure::Transcribe(error) => of_transcribe(&error),
            Failure::Incomplete { .. } => Self::unprocessable(message).with_param("file"),
            Failure::TooLong(_) => Self::too_large(message).with_param("file"),
            Failure::TimedOut(_) => Self::unprocessable(message).with_param("file").with_code("timed_out"),
            Failure::GivenUp => Self::overloaded(message, 10),
        }
    }
}

fn of_audio(error: &AudioError) -> ApiError {
    let message = error.to_string();
    let refusal = match error {
        AudioError::Open { .. } | AudioError::Read(_) => return ApiError::internal("the recording cannot be read"),
        AudioError::Empty => ApiError::invalid(message).with_code("empty_file"),
        AudioError::UnknownFormat { .. } | AudioError::NoAudioTrack { .. } | AudioError::UnsupportedCodec { .. } => {
            ApiError::unsupported(message)
        }
        _ => ApiError::unprocessable(message),
    };
    refusal.with_param("file")
}

fn of_transcribe(error: &TranscribeError) -> ApiError {
    let message = error.to_string();
    match error {
        TranscribeError::Audio(error) => of_audio(error),
        TranscribeError::Options(_) => ApiError::invalid(message),
        TranscribeError::EnglishOnly { .. } | TranscribeError::LanguageNotKnown { .. } => {
            ApiError::invalid(message).with_param("language")
        }
        TranscribeError::CannotTranslate { .. } => ApiError::invalid(message).with_param("model"),
        TranscribeError::NoLanguageDetected { .. } => ApiError::unprocessable(message),
        _ => ApiError::internal(message),
    }
}
