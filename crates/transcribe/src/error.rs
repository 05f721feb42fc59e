//! The error type of transcription.

use crate::Language;

/// An error in the recording, the model or the options.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The recording cannot be read.
    #[error(transparent)]
    Audio(#[from] amanuensis_audio::Error),
    /// The model cannot be loaded or run.
    #[error(transparent)]
    Engine(#[from] amanuensis_engine::Error),
    /// A decoding step failed; holds the error message. All windows that were in the batch fail with this error.
    #[error("{0}")]
    Step(String),
    /// An option is out of range, or options contradict one another. Holds a message that names the options.
    #[error("{0}")]
    Options(String),
    /// A language other than English was requested from an English-only model.
    #[error(
        "the model {model:?} knows English only, not {language}; choose a multilingual one, most often the name without `.en`"
    )]
    EnglishOnly {
        /// The model's name.
        model: String,
        /// The requested language.
        language: Language,
    },
    /// A translation was requested from an English-only model.
    #[error(
        "the model {model:?} knows English only and cannot translate; choose a multilingual one, most often the name without `.en`"
    )]
    CannotTranslate {
        /// The model's name.
        model: String,
    },
    /// A multilingual model does not support the requested language.
    #[error("the model {model:?} does not know {language}; a newer or larger model may")]
    LanguageNotKnown {
        /// The model's name.
        model: String,
        /// The requested language.
        language: Language,
    },
    /// Language detection failed, because the model supports none of the candidate languages.
    #[error("the model {model:?} detects no supported language; give the language of the recording")]
    NoLanguageDetected {
        /// The model's name.
        model: String,
    },
    /// The checkpoints were made from another recording, with other options, or with another model.
    #[error("the checkpoints do not belong to this recording and these options")]
    CannotResume,
    /// The worker thread that runs the model has panicked.
    #[error("the engine has stopped because of an internal error")]
    Stopped,
}
