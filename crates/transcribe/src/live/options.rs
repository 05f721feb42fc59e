//! Options that determine when an utterance begins and ends.

use crate::Error;

/// How a stream is split into utterances. An utterance is speech from one pause to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UtteranceOptions {
    /// An utterance begins when the speech probability reaches this threshold. A pause begins when the probability
    /// falls below `threshold - HYSTERESIS` (see [`VadOptions::HYSTERESIS`](crate::VadOptions::HYSTERESIS)) or below
    /// `threshold / 2`, whichever is higher.
    pub threshold: f32,
    /// Seconds of audio before the detected speech that belong to the utterance, because speech often begins softly.
    pub prefix_padding: f64,
    /// Seconds of silence that end an utterance. This silence belongs to the utterance.
    pub silence: f64,
}

impl Default for UtteranceOptions {
    fn default() -> Self {
        Self { threshold: 0.5, prefix_padding: 0.3, silence: 0.5 }
    }
}

impl UtteranceOptions {
    /// Checks that all values are within their ranges.
    ///
    /// # Errors
    /// [`Error::Options`] if a value is out of range.
    pub fn check(&self) -> Result<(), Error> {
        let is_duration = |seconds: f64| (0.0..=60.0).contains(&seconds);
        if (0.0..=1.0).contains(&self.threshold) && is_duration(self.prefix_padding) && is_duration(self.silence) {
            return Ok(());
        }
        let problem =
            "the speech threshold must be between 0 and 1, and the durations of padding and silence between 0 and 60 s";
        Err(Error::Options(problem.to_owned()))
    }
}
