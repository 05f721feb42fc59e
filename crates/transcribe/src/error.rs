//! Why a recording cannot be transcribed.

use crate::Language;

/// An error of the recording, of the model, or of what was asked of the two.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The recording cannot be read.
    #[error(transparent)]
    Audio(#[from] amanuensis_audio::Error),
    /// The model cannot be loaded or run.
    #[error(transparent)]
    Engine(#[from] amanuensis_engine::Error),
    /// The model cannot be run, for this reason; all windows that were decoded at the time are lost with it.
    #[error("{0}")]
    Step(String),
    /// The options make no sense together, for this reason.
    #[error("{0}")]
    Options(String),
    /// An English-only model was asked for another language.
    #[error(
        "the model {model:?} knows English only, not {language}; choose a multilingual one, most often the name without `.en`"
    )]
    EnglishOnly {
        /// The model's name.
        model: String,
        /// The language asked for.
        language: Language,
    },
    /// An English-only model was asked to translate.
    #[error(
        "the model {model:?} knows English only and cannot translate; choose a multilingual one, most often the name without `.en`"
    )]
    CannotTranslate {
        /// The model's name.
        model: String,
    },
    /// A multilingual model without the language asked for.
    #[error("the model {model:?} does not know {language}; a newer or larger model may")]
    LanguageNotKnown {
        /// The model's name.
        model: String,
        /// The language asked for.
        language: Language,
    },
    /// A multilingual model whose languages are none that are known here.
    #[error("the model {model:?} recognises no language that is known here; name the language of the recording")]
    NoLanguageDetected {
        /// The model's name.
        model: String,
    },
    /// The windows that were read before are not those of this recording under these options.
    #[error("what was read before does not belong to this recording and these options")]
    CannotResume,
    /// The thread that runs the model is gone, after a panic in it.
    #[error("the engine has stopped because of an error in it")]
    Stopped,
}
