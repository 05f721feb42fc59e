//! A speech threshold with hysteresis: speech needs a higher probability to begin than to continue.

use super::options::VadOptions;

/// Decides for each chunk (32 ms of audio) whether it is speech or silence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Hysteresis {
    onset: f32,
    offset: f32,
}

impl Hysteresis {
    /// Speech begins when the probability reaches `threshold`. It continues while the probability is at least
    /// `threshold - HYSTERESIS` (see [`VadOptions::HYSTERESIS`]) or `threshold / 2`, whichever is higher.
    pub(crate) fn new(threshold: f32) -> Self {
        Self { onset: threshold, offset: (threshold - VadOptions::HYSTERESIS).max(threshold / 2.0) }
    }

    /// Whether speech may begin at a chunk with this probability.
    pub(crate) fn begins_speech(self, probability: f32) -> bool {
        probability >= self.onset
    }

    /// Whether speech that has already begun continues in a chunk with this probability.
    pub(crate) fn continues_speech(self, probability: f32) -> bool {
        probability >= self.offset
    }

    /// Whether each chunk is speech. `probabilities` holds the speech probability of each chunk.
    pub(crate) fn speech_chunks(self, probabilities: &[f32]) -> Vec<bool> {
        let mut is_speech = false;
        let next = |probability: &f32| {
            is_speech = if is_speech { self.continues_speech(*probability) } else { self.begins_speech(*probability) };
            is_speech
        };
        probabilities.iter().map(next).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_begins_at_the_threshold_and_continues_below_it() {
        let speech = Hysteresis::new(0.5).speech_chunks(&[0.4, 0.5, 0.36, 0.34, 0.4, 0.6]);
        assert_eq!(speech, [false, true, true, false, false, true]);
    }

    #[test]
    fn a_low_threshold_continues_down_to_its_half() {
        let hysteresis = Hysteresis::new(0.2);
        assert!(hysteresis.continues_speech(0.1) && !hysteresis.continues_speech(0.09));
    }
}
