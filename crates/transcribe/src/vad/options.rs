//! Options of voice activity detection.

use serde::{Deserialize, Serialize};

/// Options that determine which parts of a recording count as speech.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct VadOptions {
    /// Speech begins at a chunk (32 ms of audio) with at least this speech probability. It ends when the probability
    /// falls below `threshold - HYSTERESIS` (see [`VadOptions::HYSTERESIS`]) or below `threshold / 2`, whichever is
    /// higher.
    pub threshold: f32,
    /// Minimum length of speech in seconds. Shorter speech counts as silence.
    pub min_speech: f64,
    /// Minimum length of silence in seconds. Shorter silence counts as speech.
    pub min_silence: f64,
    /// Seconds of audio before and after speech that are transcribed together with the speech.
    pub padding: f64,
}

impl VadOptions {
    /// Speech ends when the speech probability is lower than the threshold by more than this. For thresholds below
    /// 0.3, speech ends below half the threshold instead.
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
