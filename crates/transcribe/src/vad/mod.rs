//! Voice activity detection: how probable speech is, and which chunks count as speech.

mod hysteresis;
mod options;
mod probabilities;

pub(crate) use hysteresis::Hysteresis;
pub use options::VadOptions;
pub(crate) use probabilities::SpeechProbabilities;
