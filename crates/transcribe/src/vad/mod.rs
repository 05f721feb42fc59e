//! Voice activity detection: computes speech probabilities, and decides which chunks count as speech.

mod hysteresis;
mod options;
mod probabilities;

pub(crate) use hysteresis::Hysteresis;
pub use options::VadOptions;
pub(crate) use probabilities::SpeechProbabilities;
