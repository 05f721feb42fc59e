//! A transcription that is broken off behind any window and resumed gives what it would have given undisturbed, with a
//! model whose text depends on everything that it is told.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};

use amanuensis_audio::SAMPLE_RATE;
use amanuensis_engine::{DecodingResult, Task};
use proptest::prelude::{prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::test_runner::Config;

use super::super::*;
use crate::VadOptions;
use crate::scheduler::{Answer, Failure};

/// Tokens from here on are times of 20 ms; lower ones are text.
const TIME: u32 = 1000;

/// Says something else to every request.
#[derive(Default)]
struct Oracle {
    asked: Cell<usize>,
}

impl Model for Oracle {
    fn is_multilingual(&self) -> bool {
        true
    }

    fn knows_language(&self, _: &str) -> bool {
        true
    }

    fn n_frames(&self) -> usize {
        3000
    }

    fn window_frames(&self, _frames: usize) -> usize {
        self.n_frames()
    }

    fn context_tokens(&self) -> usize {
        40
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    fn text(&self, tokens: &[u32]) -> String {
        let words: Vec<String> = tokens.iter().filter(|&&token| token < TIME).map(u32::to_string).collect();
        words.join(" ")
    }

    fn timestamp(&self, token: u32) -> Option<f64> {
        Some(f64::from(token.checked_sub(TIME)?) * 0.02)
    }

    fn words(
        &self,
        _: &EncoderOutput,
        _: (Language, Task),
        _: &[(Range<usize>, &[u32])],
        _: &Listened,
        _: usize,
    ) -> Result<Vec<crate::words::Spoken>, amanuensis_engine::Error> {
        unreachable!("no answer of the oracle holds a window")
    }
}

impl Reader for Oracle {
    type Ticket = Answer;

    fn places(&self) -> usize {
        2
    }

    fn submit(&self, request: Request) -> Answer {
        self.asked.set(self.asked.get() + 1);
        let mut hasher = DefaultHasher::new();
        let mel: Vec<u32> = request.mel.iter().step_by(997).map(|value| value.to_bits()).collect();
        let DecodeOptions { previous, prefix, .. } = &request.options;
        let language = request.language.map(Language::code);
        (mel, previous, prefix, language, request.seed, request.voiced.map(f64::to_bits)).hash(&mut hasher);
        let chance = hasher.finish();
        let of = |part: u64, most: u64| ((chance >> (8 * part)) % most) as u32;

        // Two sentences, the second of which may go on in the next window, or nothing.
        let mut tokens =
            vec![TIME + of(0, 100), of(1, 900), TIME + 300, TIME + 300, of(2, 900), TIME + 900 + of(3, 200)];
        match of(4, 8) {
            0 => tokens.clear(),
            1 => tokens.extend([7; 30]),
            2..=4 => tokens.extend([TIME + 1200, 3]),
            _ => {}
        }
        let decoded = DecodingResult {
            tokens,
            avg_logprob: -1.2 * of(5, 256) as f32 / 256.0,
            no_speech_prob: of(6, 256) as f32 / 256.0,
            temperature: [0.0, 0.2, 0.8, 1.0][of(7, 4) as usize],
        };
        let text = self.text(&decoded.tokens);
        let judged = Attempts::new(&TranscribeOptions::default()).judge(decoded, &text, request.voiced);
        let detected = ["en", "de", "fr"][of(1, 3) as usize];
        let detected = Language::from_code(detected).filter(|_| request.language.is_none());
        Answer { judged, window: None, detected: detected.map(|language| (language, 0.5)), encode: 0.0, decode: 0.0 }
    }

    fn wait(&self, ticket: Answer) -> Result<Answer, Failure> {
        Ok(ticket)
    }
}

/// A recording that is loud and quiet by turns.
struct Turns {
    /// How long each is, in tenths of a second.
    tenths: Vec<usize>,
    at: usize,
    buffer: Vec<f32>,
}

impl Samples for Turns {
    fn next_block(&mut self) -> Result<Option<&[f32]>, amanuensis_audio::Error> {
        let Some(tenths) = self.tenths.get(self.at) else { return Ok(None) };
        let loudness = if self.at.is_multiple_of(2) { 0.3 } else { 0.0005 };
        let (tenth, pitch) = (SAMPLE_RATE as usize / 10, 0.05 + 0.01 * self.at as f32);
        self.buffer = (0..tenths * tenth).map(|i| loudness * (i as f32 * pitch).sin()).collect();
        self.at += 1;
        Ok(Some(&self.buffer))
    }

    fn expected_duration(&self) -> Option<f64> {
        None
    }

    fn warnings(&self) -> Vec<String> {
        vec!["the cable crackles".to_owned()]
    }
}

/// The transcript, timings aside, the windows read, and how often the model was asked.
fn run(
    turns: &[usize],
    options: &TranscribeOptions,
    before: &[WindowCheckpoint],
) -> (Transcript, Vec<WindowCheckpoint>, usize) {
    let oracle = Oracle::default();
    let mut windows = before.to_vec();
    let mut on_event = |event: Event<'_>| {
        if let Event::Checkpoint(window) = event {
            // As they come back from a file.
            windows.push(serde_json::from_str(&serde_json::to_string(window).unwrap()).unwrap());
        }
        ControlFlow::Continue(())
    };
    let samples = Turns { tenths: turns.to_vec(), at: 0, buffer: Vec::new() };
    let mel = LogMel::new(80).unwrap();
    let parts = (&oracle, &oracle, None);
    let mut long_form = LongForm::new(parts, "oracle", mel, samples, options, &mut on_event).behind(before.to_vec());
    // So that speech without a text is read again.
    long_form.detects_speech = true;
    let transcript = long_form.run().unwrap();
    (Transcript { timings: Timings::default(), ..transcript }, windows, oracle.asked.get())
}

fn options(sequential: bool, multilingual: bool) -> TranscribeOptions {
    TranscribeOptions {
        strategy: if sequential { Strategy::Sequential } else { Strategy::Batched },
        condition_on_previous_text: sequential,
        multilingual,
        initial_prompt: Some("names".to_owned()),
        prefix: Some("so".to_owned()),
        // Between the loud and the quiet.
        vad: Some(VadOptions { threshold: 0.85, ..VadOptions::default() }),
        ..TranscribeOptions::default()
    }
}

proptest! {
    #![proptest_config(Config::with_cases(12))]

    #[test]
    fn behind_every_window_it_goes_on_as_if_nothing_had_been(
        turns in prop::collection::vec(prop_oneof![1_usize..8, 1_usize..90, 60_usize..400], 4..14),
        sequential: bool,
        multilingual: bool,
    ) {
        let options = options(sequential, multilingual);
        let (whole, windows, asked) = run(&turns, &options, &[]);
        for finished in 0..=windows.len() {
            let (resumed, seen, again) = run(&turns, &options, &windows[..finished]);
            prop_assert_eq!(&resumed, &whole);
            prop_assert_eq!(&seen, &windows);
            // Nothing is read twice.
            prop_assert!(again + finished <= asked);
        }
    }
}

#[test]
fn windows_of_another_recording_are_refused() {
    let (_, windows, _) = run(&[100, 20, 300, 20, 200], &options(false, false), &[]);
    let resume = |turns: &[usize], options: &TranscribeOptions| {
        let oracle = Oracle::default();
        let samples = Turns { tenths: turns.to_vec(), at: 0, buffer: Vec::new() };
        let on_event = &mut |_: Event<'_>| ControlFlow::Continue(());
        let mel = LogMel::new(80).unwrap();
        LongForm::new((&oracle, &oracle, None), "oracle", mel, samples, options, on_event).behind(windows.clone()).run()
    };
    assert!(windows.len() > 1);
    assert!(resume(&[100, 20, 300, 20, 200], &options(false, false)).is_ok());
    assert!(matches!(resume(&[150, 120, 300, 20, 200], &options(false, false)), Err(Error::CannotResume)));
    assert!(matches!(resume(&[100], &options(false, false)), Err(Error::CannotResume)));
}

#[test]
fn passing_over_can_be_cancelled() {
    let (turns, options) = ([300, 60, 300, 60, 300], options(false, false));
    let (whole, windows, _) = run(&turns, &options, &[]);
    let oracle = Oracle::default();
    let samples = Turns { tenths: turns.to_vec(), at: 0, buffer: Vec::new() };
    let on_event = &mut |_: Event<'_>| ControlFlow::Break(());
    let mel = LogMel::new(80).unwrap();
    let long_form = LongForm::new((&oracle, &oracle, None), "oracle", mel, samples, &options, on_event);
    let transcript = long_form.behind(windows).run().unwrap();
    assert_eq!(transcript.ending, Ending::Cancelled);
    assert!(transcript.segments.len() < whole.segments.len() && oracle.asked.get() == 0);
}
