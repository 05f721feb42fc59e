//! The interface between a pipeline and the decoder of its windows. Tests use a decoder with scripted answers.

use amanuensis_engine::{EncoderOutput, Error as EngineError};

use super::fallback::DecodeCheck;
use super::request::Request;
use crate::{Error, Language};

/// Decodes windows, several at a time.
pub(crate) trait WindowDecoder {
    /// Stands for a submitted window. Dropping it cancels the window.
    type Ticket;

    /// How many windows may be decoded at once for this client.
    fn slots(&self) -> usize;
    /// Queues a window.
    fn submit(&self, request: Request) -> Self::Ticket;
    /// Blocks until a window is decoded.
    fn wait(&self, ticket: Self::Ticket) -> Result<DecodedWindow, DecodeFailure>;
}

/// A decoded window.
pub(crate) struct DecodedWindow {
    /// The hypothesis and its checks. If no attempt was accepted, it is the best one.
    pub(crate) check: DecodeCheck,
    /// The encoder output, if the request asked for it.
    pub(crate) encoder_output: Option<EncoderOutput>,
    /// The detected language and its probability, if the language was not given.
    pub(crate) detected: Option<(Language, f32)>,
    /// Seconds that the encoder took.
    pub(crate) encode_s: f64,
    /// Seconds that the decoder took. The time of a step is divided evenly among the windows in the batch.
    pub(crate) decode_s: f64,
}

/// Why a window could not be decoded.
#[derive(Debug)]
pub(crate) enum DecodeFailure {
    /// The engine rejected this window.
    Engine(EngineError),
    /// A step of the whole batch failed, for this reason.
    Step(String),
    /// Language detection found none of the candidate languages.
    NoLanguage,
    /// The worker thread is gone, because it panicked.
    Stopped,
}

impl DecodeFailure {
    /// The public error; `model` is the model's name.
    pub(crate) fn into_error(self, model: &str) -> Error {
        match self {
            Self::Engine(error) => Error::Engine(error),
            Self::Step(reason) => Error::Step(reason),
            Self::NoLanguage => Error::NoLanguageDetected { model: model.to_owned() },
            Self::Stopped => Error::Stopped,
        }
    }
}

impl From<EngineError> for DecodeFailure {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}
