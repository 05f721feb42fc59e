//! Speech as it comes in: turns, words that may change, and words that stay.

mod agreement;
mod passage;
mod turns;

use std::time::{Duration, Instant};

use amanuensis_audio::SAMPLE_RATE;

use crate::vad::SpeechProbabilities;
use crate::{Error, Language, Strategy, TranscribeOptions, Transcriber, Word};
use passage::{Passage, Reader};
pub use turns::UtteranceOptions;
use turns::{Change, Turns};

/// Speech that has come since the last reading before there is another one.
const STEP: Duration = Duration::from_millis(300);

/// Seconds: after a shorter pause, a turn is read together with the end of the one before, as one text.
const PAUSE: f64 = 2.0;

/// Samples that are heard at a time: a tenth of a second.
const AT_ONCE: usize = SAMPLE_RATE as usize / 10;

/// What happens in a stream, as it happens. Times are seconds from the beginning of the stream.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum LiveEvent<'a> {
    /// Somebody begins to speak.
    TurnBegins {
        /// Where the turn begins: somewhat before the voice.
        start: f64,
    },
    /// More was read.
    Words {
        /// What is new of the words that stay.
        settled: &'a [Word],
        /// The words after those, which the next such event replaces.
        provisional: &'a [Word],
    },
    /// Nobody speaks any more: the last words of the turn follow.
    TurnEnds {
        /// Where the turn ends: with the pause that ended it.
        end: f64,
    },
    /// All of a turn is read.
    Turn {
        /// Its words. Joined, they are its text.
        words: &'a [Word],
        /// The language given or detected; none where nothing was said.
        language: Option<Language>,
    },
}

/// A model that listens to a stream of speech and writes along.
///
/// Speech is cut into turns, from one pause to the next. What is said is read every 300 ms, from a few sentences before; words that two successive readings agree on are settled and never change. Whoever calls
/// [`Self::push`] waits while it reads: samples that come meanwhile are best handed over all at once.
///
/// Where the transcriber has no voice detector, or the options ask for none, the stream is one turn.
pub struct LiveTranscriber<'t> {
    reader: Reader<'t>,
    detects_speech: bool,
    voicing: SpeechProbabilities<'t>,
    turns: Turns,
    /// Samples that are part of no turn and have to be kept, and those that are.
    memory: usize,
    recent: Vec<f32>,
    /// Samples that came.
    heard: usize,
    turn: Option<Passage>,
    /// The turn before.
    before: Option<Passage>,
    /// The sample at which the turn was last read, and what has to come before it is again.
    read: usize,
    step: Duration,
    probabilities: Vec<f32>,
}

impl<'t> LiveTranscriber<'t> {
    /// Of a stream in which turns are as `turns` say, and speech what the threshold there says. `options` are those of
    /// [`Transcriber::transcribe`], but for what only a whole recording has: clips, a prefix, another strategy than the default.
    ///
    /// # Errors
    /// Those of [`Transcriber::check`], and [`Error::Options`].
    pub fn new(
        transcriber: &'t Transcriber,
        options: &TranscribeOptions,
        turns: UtteranceOptions,
    ) -> Result<Self, Error> {
        transcriber.check(options)?;
        if options.strategy != Strategy::Batched || options.prefix.is_some() || !options.clips.is_empty() {
            return Err(Error::Options("a stream has no clips, no prefix and no strategy".to_owned()));
        }
        turns.check()?;
        let detector = transcriber.vad().filter(|_| options.vad.is_some());
        Ok(Self {
            reader: Reader::new(transcriber, options)?,
            detects_speech: detector.is_some(),
            voicing: SpeechProbabilities::new(detector),
            turns: Turns::new(turns),
            memory: turns.memory() + samples_of(PAUSE) + AT_ONCE,
            recent: Vec::new(),
            heard: 0,
            turn: None,
            before: None,
            read: 0,
            step: STEP,
            probabilities: Vec::new(),
        })
    }

    /// Seconds of the stream so far.
    pub fn seconds(&self) -> f64 {
        seconds(self.heard)
    }

    /// Takes the next samples, 16 kHz mono, and reads what was said if there is enough of it.
    ///
    /// # Errors
    /// Where the engine fails. The turn goes on; [`Self::clear`] ends it.
    pub fn push(&mut self, samples: &[f32], on_event: &mut dyn FnMut(LiveEvent<'_>)) -> Result<(), Error> {
        for samples in samples.chunks(AT_ONCE) {
            self.hear(samples, on_event)?;
            if self.turn.as_ref().is_some_and(Passage::is_full) {
                self.read(on_event)?;
            }
        }
        let due = self.read + samples_of(self.step.as_secs_f64());
        if self.turn.as_ref().is_some_and(|turn| turn.end() >= due) {
            self.read(on_event)?;
        }
        Ok(())
    }

    /// Ends the turn, if there is one, at what was heard last.
    ///
    /// # Errors
    /// Where the engine fails; the turn has ended all the same.
    pub fn end_turn(&mut self, on_event: &mut dyn FnMut(LiveEvent<'_>)) -> Result<(), Error> {
        let Some(turn) = self.turn.take() else { return Ok(()) };
        self.turns.end(self.heard);
        self.finish(turn, on_event)
    }

    /// Forgets the turn, if there is one, and what might have begun another.
    pub fn clear(&mut self) {
        (self.turn, self.before) = (None, None);
        self.recent.clear();
        self.turns.end(self.heard);
    }

    /// Whether somebody speaks.
    pub fn is_in_turn(&self) -> bool {
        self.turn.is_some()
    }

    /// Takes a few samples, and begins and ends turns.
    fn hear(&mut self, samples: &[f32], on_event: &mut dyn FnMut(LiveEvent<'_>)) -> Result<(), Error> {
        self.heard += samples.len();
        match &mut self.turn {
            Some(turn) => turn.push(samples),
            None => self.recent.extend_from_slice(samples),
        }
        let mut probabilities = std::mem::take(&mut self.probabilities);
        self.voicing.push(samples, &mut probabilities);
        self.voicing.flush(&mut probabilities);
        let mut result = Ok(());
        for probability in probabilities.drain(..) {
            match self.turns.push(probability) {
                Some(Change::Begins(start)) => self.begin(start, on_event),
                Some(Change::Ends(end)) => result = result.and(self.end(end, on_event)),
                None => {}
            }
            if let Some(turn) = self.turn.as_mut().filter(|_| self.turns.is_voiced(probability)) {
                turn.hear(self.turns.heard());
            }
        }
        self.probabilities = probabilities;
        let surplus = self.recent.len().saturating_sub(self.memory);
        self.recent.drain(..surplus);
        result
    }

    fn begin(&mut self, start: usize, on_event: &mut dyn FnMut(LiveEvent<'_>)) {
        let start = start.max(self.heard - self.recent.len());
        let goes_on = |before: &Passage| start.saturating_sub(before.end()) <= samples_of(PAUSE);
        let mut turn = match self.before.take().filter(goes_on) {
            Some(before) => before.resume(&self.reader),
            None => Passage::new(&self.reader, start, self.detects_speech),
        };
        turn.push(&self.recent[self.recent.len() - (self.heard - turn.end())..]);
        self.recent.clear();
        self.turn = Some(turn);
        self.read = self.heard;
        self.step = STEP;
        on_event(LiveEvent::TurnBegins { start: seconds(start) });
    }

    fn end(&mut self, end: usize, on_event: &mut dyn FnMut(LiveEvent<'_>)) -> Result<(), Error> {
        let Some(mut turn) = self.turn.take() else { return Ok(()) };
        self.recent = turn.cut(end);
        self.finish(turn, on_event)
    }

    /// Reads a turn for the last time.
    fn finish(&mut self, mut turn: Passage, on_event: &mut dyn FnMut(LiveEvent<'_>)) -> Result<(), Error> {
        on_event(LiveEvent::TurnEnds { end: seconds(turn.end()) });
        let before = turn.words().len();
        turn.read(&mut self.reader, true)?;
        on_event(LiveEvent::Words { settled: &turn.words()[before..], provisional: &[] });
        let language = turn.language().filter(|_| !turn.words().is_empty());
        on_event(LiveEvent::Turn { words: turn.words(), language });
        self.before = Some(turn);
        Ok(())
    }

    /// Reads what was said so far.
    fn read(&mut self, on_event: &mut dyn FnMut(LiveEvent<'_>)) -> Result<(), Error> {
        let Some(turn) = &mut self.turn else { return Ok(()) };
        let (start, before) = (Instant::now(), turn.words().len());
        turn.read(&mut self.reader, false)?;
        on_event(LiveEvent::Words { settled: &turn.words()[before..], provisional: &turn.provisional() });
        // No more than half of the time is spent reading, however slow the model or large the company.
        self.step = start.elapsed().max(STEP);
        self.read = turn.end();
        Ok(())
    }
}

impl std::fmt::Debug for LiveTranscriber<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveTranscriber")
            .field("heard", &self.heard)
            .field("turns", &self.turns)
            .finish_non_exhaustive()
    }
}

fn samples_of(seconds: f64) -> usize {
    (seconds * f64::from(SAMPLE_RATE)).round() as usize
}

fn seconds(samples: usize) -> f64 {
    samples as f64 / f64::from(SAMPLE_RATE)
}
