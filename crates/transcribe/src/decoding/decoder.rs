//! The interface through which the transcription of a recording or live stream has its windows decoded. In tests, a
//! decoder with scripted results implements it.

use amanuensis_engine::{EncoderOutput, Error as EngineError};

use super::fallback::DecodeCheck;
use super::request::Request;
use crate::{Error, Language};

/// Decodes windows, several at a time.
pub(crate) trait WindowDecoder {
    /// A handle to a submitted window. Dropping the handle cancels the window.
    type Ticket;

    /// The number of windows of this client (one recording or stream) that may be decoded at the same time.
    fn slots(&self) -> usize;
    /// Adds a window to the decoding queue, and returns a ticket for its result.
    fn submit(&self, request: Request) -> Self::Ticket;
    /// Blocks until the window of this ticket is decoded.
    fn wait(&self, ticket: Self::Ticket) -> Result<DecodedWindow, DecodeFailure>;
}

/// The result of decoding a window.
pub(crate) struct DecodedWindow {
    /// The accepted hypothesis with the results of its checks. If no hypothesis was accepted, this is the best of the
    /// rejected ones.
    pub(crate) check: DecodeCheck,
    /// The encoder output. `None` unless the request asked for it.
    pub(crate) encoder_output: Option<EncoderOutput>,
    /// The detected language and its probability. `None` if the request specified the language.
    pub(crate) detected: Option<(Language, f32)>,
    /// Seconds that the encoder took for this window.
    pub(crate) encode_s: f64,
    /// Seconds that the decoder took for this window. The time of a decoding step is divided evenly among the windows
    /// in the batch.
    pub(crate) decode_s: f64,
}

/// Why a window could not be decoded.
#[derive(Debug)]
pub(crate) enum DecodeFailure {
    /// The engine rejected this window.
    Engine(EngineError),
    /// A decoding step of the whole batch failed, so all windows in the batch failed. Holds the error message.
    Step(String),
    /// The model supports none of the candidate languages, so the language cannot be detected.
    NoLanguage,
    /// The worker thread that decodes windows has panicked.
    Stopped,
}

impl DecodeFailure {
    /// Converts the failure to the public error type. `model` is the model's name, which some error messages contain.
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
