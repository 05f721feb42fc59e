//! What counts as speech.

use serde::{Deserialize, Serialize};

/// What counts as speech.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct VadOptions {
    /// Speech begins at a chunk of at least this probability. It ends below the threshold minus
    /// [`VadOptions::HYSTERESIS`], or below half the threshold if that is higher.
    pub threshold: f32,
    /// Minimum length of speech, in seconds; shorter speech counts as silence.
    pub min_speech: f64,
    /// Minimum length of silence, in seconds; shorter silence counts as speech.
    pub min_silence: f64,
    /// Seconds before and after speech that are transcribed with it.
    pub padding: f64,
}

impl VadOptions {
    /// How far the probability has to fall below the threshold before speech ends.
    pub const HYSTERESIS: f32 = 0.15;

    /// Whether every value is within its range.
    pub(crate) fn is_valid(&self) -> bool {
        let is_duration = |seconds: f64| (0.0..=60.0).contains(&seconds);
        (0.0..=1.0).contains(&self.threshold)
            && [self.min_speech, self.min_silence, self.padding].into_iter().all(is_duration)
    }
}

impl Default for VadOptions {
    fn default() -> Self {
        Self { threshold: 0.4, min_speech: 0.1, min_silence: 0.1, padding: 0.5 }
    }
}
