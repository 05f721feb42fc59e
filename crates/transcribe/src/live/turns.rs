//! When somebody begins and ends to speak, as it happens.

use amanuensis_engine::units::SAMPLES_PER_CHUNK;

use super::samples_of;
use crate::Error;
use crate::vad::Hysteresis;

/// Voiced chunks in a row that begin a turn: a tenth of a second, less is a click.
const SHORTEST: usize = 3;

/// What makes a turn: speech from one pause to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UtteranceOptions {
    /// A turn begins where speech is as probable as this; where it is less so by [`VadOptions::HYSTERESIS`](crate::VadOptions::HYSTERESIS), or half as
    /// probable, a pause begins.
    pub threshold: f32,
    /// Seconds before that which belong to the turn: voices rise.
    pub prefix_padding: f64,
    /// Seconds of pause that end a turn, and belong to it.
    pub silence: f64,
}

impl Default for UtteranceOptions {
    fn default() -> Self {
        Self { threshold: 0.5, prefix_padding: 0.3, silence: 0.5 }
    }
}

impl UtteranceOptions {
    /// Whether the values make sense.
    ///
    /// # Errors
    /// [`Error::Options`] where they do not.
    pub fn check(&self) -> Result<(), Error> {
        let is_time = |seconds: f64| (0.0..=60.0).contains(&seconds);
        if (0.0..=1.0).contains(&self.threshold) && is_time(self.prefix_padding) && is_time(self.silence) {
            return Ok(());
        }
        let problem =
            "the threshold of speech is a probability, from 0 to 1, and its times lie between 0 and 60 seconds";
        Err(Error::Options(problem.to_owned()))
    }

    /// Samples before a turn that have to be kept until it is known to have begun.
    pub(super) fn memory(&self) -> usize {
        samples_of(self.prefix_padding) + (SHORTEST + 1) * SAMPLES_PER_CHUNK
    }
}

/// What a chunk changes; positions are samples from the beginning of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// A turn begins here, somewhat before what was just heard.
    Begins(usize),
    /// The turn ends here, which is now.
    Ends(usize),
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Nobody speaks; the last chunks were voiced, but too few of them.
    Quiet { voiced: usize },
    /// Somebody speaks; the last chunks were not voiced, but too few of them.
    Speaking { quiet: usize },
}

/// The turns of a stream, from how probable speech is in each chunk of 32 ms.
#[derive(Debug)]
pub(super) struct Turns {
    options: UtteranceOptions,
    state: State,
    /// Chunks heard.
    heard: usize,
    /// The sample before which no turn may begin: the end of the last one.
    earliest: usize,
}

impl Turns {
    pub(super) fn new(options: UtteranceOptions) -> Self {
        Self { options, state: State::Quiet { voiced: 0 }, heard: 0, earliest: 0 }
    }

    /// Takes the probability of speech in the next chunk.
    pub(super) fn push(&mut self, probability: f32) -> Option<Change> {
        self.heard += 1;
        match &mut self.state {
            State::Quiet { voiced } => {
                *voiced = if probability >= self.options.threshold { *voiced + 1 } else { 0 };
                if *voiced < SHORTEST {
                    return None;
                }
                let first = (self.heard - *voiced) * SAMPLES_PER_CHUNK;
                self.state = State::Speaking { quiet: 0 };
                Some(Change::Begins(first.saturating_sub(samples_of(self.options.prefix_padding)).max(self.earliest)))
            }
            State::Speaking { quiet } => {
                *quiet =
                    if Hysteresis::new(self.options.threshold).continues_speech(probability) { 0 } else { *quiet + 1 };
                let longest = samples_of(self.options.silence).div_ceil(SAMPLES_PER_CHUNK);
                let is_over = *quiet >= longest.max(1);
                is_over.then(|| {
                    let end = self.heard * SAMPLES_PER_CHUNK;
                    self.end(end);
                    Change::Ends(end)
                })
            }
        }
    }

    /// Whether a chunk of this probability is part of what is said in a turn.
    pub(super) fn is_voiced(&self, probability: f32) -> bool {
        Hysteresis::new(self.options.threshold).continues_speech(probability)
    }

    /// Samples in the chunks heard.
    pub(super) fn heard(&self) -> usize {
        self.heard * SAMPLES_PER_CHUNK
    }

    /// Whatever was going on ends at this sample, and the next turn begins later.
    pub(super) fn end(&mut self, at: usize) {
        self.state = State::Quiet { voiced: 0 };
        self.earliest = at;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn changes(options: UtteranceOptions, probabilities: &[f32]) -> Vec<Change> {
        let mut turns = Turns::new(options);
        probabilities.iter().filter_map(|probability| turns.push(*probability)).collect()
    }

    #[test]
    fn turns_begin_before_speech_and_end_after_a_pause() {
        let options = UtteranceOptions { silence: 0.32, prefix_padding: 0.064, ..UtteranceOptions::default() };
        // 20 chunks of silence, a click, speech with a short pause, and silence.
        let runs = [(0.0, 20), (0.9, 2), (0.0, 8), (0.9, 10), (0.1, 9), (0.4, 5), (0.1, 30)];
        let probabilities: Vec<f32> = runs.into_iter().flat_map(|(p, n)| std::iter::repeat_n(p, n)).collect();
        let expected = [Change::Begins((30 - 2) * SAMPLES_PER_CHUNK), Change::Ends((54 + 10) * SAMPLES_PER_CHUNK)];
        assert_eq!(changes(options, &probabilities), expected);
    }

    proptest! {
        #[test]
        fn turns_do_not_overlap(
            probabilities in prop::collection::vec(0.0..1.0_f32, 0..400),
            silence in 0.0..0.3_f64,
            prefix_padding in 0.0..1.0_f64,
        ) {
            let options = UtteranceOptions { prefix_padding, silence, ..UtteranceOptions::default() };
            let mut before = 0;
            for (at, change) in changes(options, &probabilities).into_iter().enumerate() {
                let (Change::Begins(position) | Change::Ends(position)) = change;
                prop_assert_eq!(matches!(change, Change::Begins(_)), at % 2 == 0);
                prop_assert!(position >= before);
                before = position;
            }
        }
    }
}
