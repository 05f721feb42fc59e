//! Detects when utterances begin and end, from the speech probability of each chunk (32 ms of audio).

use amanuensis_engine::units::{Chunks, Samples};

use super::options::UtteranceOptions;
use crate::vad::Hysteresis;

/// An utterance begins after this many consecutive chunks of speech, about 0.1 seconds. A shorter sound may be a
/// click.
const MIN_SPEECH: Chunks = Chunks(3);

/// A start or end of an utterance, as a position in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// An utterance begins at this position, which is before the end of the current chunk.
    Started(Samples),
    /// The utterance ends at this position, which is the end of the current chunk.
    Ended(Samples),
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Between two utterances. The `speech` most recent chunks were speech, which is not enough to begin an
    /// utterance.
    Silence { speech: Chunks },
    /// Within an utterance. The `silence` most recent chunks were silence, which is not enough to end the utterance.
    Utterance { silence: Chunks },
}

/// Splits a stream into utterances.
#[derive(Debug)]
pub(super) struct UtteranceDetector {
    hysteresis: Hysteresis,
    prefix_padding: Samples,
    min_silence: Chunks,
    state: State,
    /// The number of chunks received.
    received: Chunks,
    /// The end of the previous utterance. The next utterance begins at this position or later.
    previous_end: Samples,
}

impl UtteranceDetector {
    pub(super) fn new(options: UtteranceOptions) -> Self {
        Self {
            hysteresis: Hysteresis::new(options.threshold),
            prefix_padding: Samples::nearest(options.prefix_padding),
            min_silence: Samples::nearest(options.silence).chunks_rounded_up().max(Chunks(1)),
            state: State::Silence { speech: Chunks::ZERO },
            received: Chunks::ZERO,
            previous_end: Samples::ZERO,
        }
    }

    /// Takes the speech probability of the next chunk. Returns the start or end of an utterance if the chunk causes
    /// one.
    pub(super) fn push(&mut self, probability: f32) -> Option<Change> {
        self.received += Chunks(1);
        match &mut self.state {
            State::Silence { speech } => {
                *speech = if self.hysteresis.begins_speech(probability) { *speech + Chunks(1) } else { Chunks::ZERO };
                if *speech < MIN_SPEECH {
                    return None;
                }
                let speech_start = (self.received - *speech).samples();
                self.state = State::Utterance { silence: Chunks::ZERO };
                Some(Change::Started(speech_start.saturating_sub(self.prefix_padding).max(self.previous_end)))
            }
            State::Utterance { silence } => {
                *silence =
                    if self.hysteresis.continues_speech(probability) { Chunks::ZERO } else { *silence + Chunks(1) };
                if *silence < self.min_silence {
                    return None;
                }
                let end = self.position();
                self.end(end);
                Some(Change::Ended(end))
            }
        }
    }

    /// Whether a chunk with this probability counts as speech within an utterance.
    pub(super) fn is_speech(&self, probability: f32) -> bool {
        self.hysteresis.continues_speech(probability)
    }

    /// The end of the most recent chunk, as a position in the stream.
    pub(super) fn position(&self) -> Samples {
        self.received.samples()
    }

    /// Ends the current utterance, if any, at `position`. The next utterance begins at `position` or later.
    pub(super) fn end(&mut self, position: Samples) {
        self.state = State::Silence { speech: Chunks::ZERO };
        self.previous_end = position;
    }

    /// The maximum distance from the current position back to the start of an utterance that may still be detected.
    pub(super) fn max_lookback(&self) -> Samples {
        self.prefix_padding + (MIN_SPEECH + Chunks(1)).samples()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn changes(options: UtteranceOptions, probabilities: &[f32]) -> Vec<Change> {
        let mut detector = UtteranceDetector::new(options);
        probabilities.iter().filter_map(|probability| detector.push(*probability)).collect()
    }

    #[test]
    fn an_utterance_includes_the_padding_before_speech_and_the_pause_after_it() {
        let options = UtteranceOptions { silence: 0.32, prefix_padding: 0.064, ..UtteranceOptions::default() };
        // The artificial recording has silence, a click, silence, speech with a pause too short to end the utterance,
        // and silence again.
        let runs = [(0.0, 20), (0.9, 2), (0.0, 8), (0.9, 10), (0.1, 9), (0.4, 5), (0.1, 30)];
        let probabilities: Vec<f32> = runs.into_iter().flat_map(|(p, n)| std::iter::repeat_n(p, n)).collect();
        let (start, end) = (Chunks(30 - 2).samples(), Chunks(54 + 10).samples());
        assert_eq!(changes(options, &probabilities), [Change::Started(start), Change::Ended(end)]);
    }

    proptest! {
        #[test]
        fn utterances_do_not_overlap(
            probabilities in prop::collection::vec(0.0..1.0_f32, 0..400),
            silence in 0.0..0.3_f64,
            prefix_padding in 0.0..1.0_f64,
        ) {
            let options = UtteranceOptions { prefix_padding, silence, ..UtteranceOptions::default() };
            let mut previous = Samples::ZERO;
            for (index, change) in changes(options, &probabilities).into_iter().enumerate() {
                let (Change::Started(position) | Change::Ended(position)) = change;
                prop_assert_eq!(matches!(change, Change::Started(_)), index % 2 == 0);
                prop_assert!(position >= previous);
                previous = position;
            }
        }
    }
}
