//! Tests that a transcription gives the same result if it is interrupted after any window and resumed. The hypotheses
//! of the scripted model depend on the content of the requests, so a difference in a request changes the result.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use amanuensis_engine::units::SAMPLE_RATE;
use amanuensis_engine::{DecodeOptions, DecodingResult, EncoderOutput, Task};
use proptest::prelude::{prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::test_runner::Config;

use super::super::*;
use crate::decoding::{DecodeFailure, DecodedWindow, Fallback, Request};
use crate::words::{SegmentWords, SilenceMap};
use crate::{Language, Timings, VadOptions};

/// Tokens from this number on are timestamps in steps of 20 ms; lower tokens are text.
const FIRST_TIMESTAMP: u32 = 1000;

/// Makes each hypothesis from a hash of its request.
#[derive(Default)]
struct HashingModel {
    n_requests: Cell<usize>,
}

impl Model for HashingModel {
    fn is_multilingual(&self) -> bool {
        true
    }

    fn knows_language(&self, _: &str) -> bool {
        true
    }

    fn n_frames(&self) -> Frames {
        Frames(3000)
    }

    fn window_frames(&self, _: Frames) -> Frames {
        Model::n_frames(self)
    }

    fn max_prompt_tokens(&self) -> usize {
        40
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    fn text(&self, tokens: &[u32]) -> String {
        let words: Vec<String> = tokens.iter().filter(|&&token| token < FIRST_TIMESTAMP).map(u32::to_string).collect();
        words.join(" ")
    }

    fn timestamp(&self, token: u32) -> Option<f64> {
        Some(f64::from(token.checked_sub(FIRST_TIMESTAMP)?) * 0.02)
    }

    fn words(
        &self,
        _: &EncoderOutput,
        _: (Language, Task),
        _: &[(Range<Frames>, &[u32])],
        _: &SilenceMap,
        _: Frames,
    ) -> Result<Vec<SegmentWords>, amanuensis_engine::Error> {
        unreachable!("no answer of this model holds an encoder output")
    }
}

impl WindowDecoder for HashingModel {
    type Ticket = DecodedWindow;

    fn slots(&self) -> usize {
        2
    }

    fn submit(&self, request: Request) -> DecodedWindow {
        self.n_requests.set(self.n_requests.get() + 1);
        let mut hasher = DefaultHasher::new();
        let mel: Vec<u32> = request.mel.iter().step_by(997).map(|value| value.to_bits()).collect();
        let DecodeOptions { previous, prefix, .. } = &request.options;
        let language = request.language.map(Language::code);
        (mel, previous, prefix, language, request.seed, request.speech_s.map(f64::to_bits)).hash(&mut hasher);
        let hash = hasher.finish();
        let byte = |index: u64, max: u64| ((hash >> (8 * index)) % max) as u32;

        // Some windows have no text. The others have two sentences, which may be followed by an unfinished third
        // sentence or by a loop.
        let first = FIRST_TIMESTAMP;
        let mut tokens = vec![
            first + byte(0, 100),
            byte(1, 900),
            first + 300,
            first + 300,
            byte(2, 900),
            first + 900 + byte(3, 200),
        ];
        match byte(4, 8) {
            0 => tokens.clear(),
            1 => tokens.extend([7; 30]),
            2..=4 => tokens.extend([first + 1200, 3]),
            _ => {}
        }
        let result = DecodingResult {
            tokens,
            avg_logprob: -1.2 * byte(5, 256) as f32 / 256.0,
            no_speech_prob: byte(6, 256) as f32 / 256.0,
            temperature: [0.0, 0.2, 0.8, 1.0][byte(7, 4) as usize],
        };
        let text = self.text(&result.tokens);
        let check = Fallback::new(&TranscribeOptions::default()).check(result, &text, request.speech_s);
        let detected = ["en", "de", "fr"][byte(1, 3) as usize];
        let detected = Language::from_code(detected).filter(|_| request.language.is_none());
        let detected = detected.map(|language| (language, 0.5));
        DecodedWindow { check, encoder_output: None, detected, encode_s: 0.0, decode_s: 0.0 }
    }

    fn wait(&self, ticket: DecodedWindow) -> Result<DecodedWindow, DecodeFailure> {
        Ok(ticket)
    }
}

/// A recording that alternates between loud and quiet parts.
struct AlternatingSource {
    /// The lengths of the parts in tenths of a second. The first part is loud, the second quiet, and so on.
    parts: Vec<usize>,
    next_part: usize,
    buffer: Vec<f32>,
}

impl AlternatingSource {
    fn new(parts: &[usize]) -> Self {
        Self { parts: parts.to_vec(), next_part: 0, buffer: Vec::new() }
    }
}

impl SampleSource for AlternatingSource {
    fn next_block(&mut self) -> Result<Option<&[f32]>, amanuensis_audio::Error> {
        let Some(tenths) = self.parts.get(self.next_part) else { return Ok(None) };
        let amplitude = if self.next_part.is_multiple_of(2) { 0.3 } else { 0.0005 };
        let radians_per_sample = 0.05 + 0.01 * self.next_part as f32;
        let n_samples = tenths * SAMPLE_RATE / 10;
        self.buffer = (0..n_samples).map(|i| amplitude * (i as f32 * radians_per_sample).sin()).collect();
        self.next_part += 1;
        Ok(Some(&self.buffer))
    }

    fn expected_duration(&self) -> Option<f64> {
        None
    }

    fn warnings(&self) -> Vec<String> {
        vec!["the cable crackles".to_owned()]
    }
}

type OnEvent<'e> = &'e mut dyn FnMut(Event<'_>) -> ControlFlow<()>;

fn pipeline<'a>(
    model: &'a HashingModel,
    parts: &[usize],
    options: &'a TranscribeOptions,
    on_event: OnEvent<'a>,
) -> Pipeline<'a, HashingModel, HashingModel, AlternatingSource> {
    let mel = LogMel::new(80).unwrap();
    let pipeline_parts = Parts { model, model_name: "hashing", decoder: model, vad: None, mel };
    let mut pipeline = Pipeline::new(pipeline_parts, AlternatingSource::new(parts), options, on_event);
    // This test has no voice activity detector. Treat the whole recording as speech that a detector found, so that
    // speech without a segment is decoded again.
    pipeline.windows.set_uses_vad();
    pipeline
}

/// Writes a checkpoint to JSON and reads it back.
fn stored(checkpoint: &WindowCheckpoint) -> WindowCheckpoint {
    serde_json::from_str(&serde_json::to_string(checkpoint).unwrap()).unwrap()
}

/// Resumes the transcription after `checkpoints`. Returns the transcript with its timings set to zero, all
/// checkpoints, and the number of requests.
fn run(
    parts: &[usize],
    options: &TranscribeOptions,
    earlier: &[WindowCheckpoint],
) -> (Transcript, Vec<WindowCheckpoint>, usize) {
    let model = HashingModel::default();
    let mut checkpoints = earlier.to_vec();
    let mut on_event = |event: Event<'_>| {
        if let Event::Checkpoint(checkpoint) = event {
            checkpoints.push(stored(checkpoint));
        }
        ControlFlow::Continue(())
    };
    let transcript = pipeline(&model, parts, options, &mut on_event).run(earlier.to_vec()).unwrap();
    (Transcript { timings: Timings::default(), ..transcript }, checkpoints, model.n_requests.get())
}

/// The state after `count` windows of a transcription that was not interrupted.
fn state_after(count: usize, parts: &[usize], options: &TranscribeOptions) -> State {
    let (model, mut n_checkpoints) = (HashingModel::default(), 0);
    let mut cancel_after_count = |event: Event<'_>| {
        n_checkpoints += usize::from(matches!(event, Event::Checkpoint(_)));
        if n_checkpoints == count { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut pipeline = pipeline(&model, parts, options, &mut cancel_after_count);
    pipeline.transcribe().unwrap();
    pipeline.state
}

/// The state of a transcription after replaying these checkpoints, without decoding any window.
fn replayed_state(checkpoints: &[WindowCheckpoint], parts: &[usize], options: &TranscribeOptions) -> State {
    let model = HashingModel::default();
    let mut on_event = |_: Event<'_>| ControlFlow::Continue(());
    let mut pipeline = pipeline(&model, parts, options, &mut on_event);
    pipeline.replay(checkpoints.to_vec()).unwrap();
    pipeline.state
}

fn options(sequential: bool, multilingual: bool) -> TranscribeOptions {
    TranscribeOptions {
        strategy: if sequential { Strategy::Sequential } else { Strategy::Batched },
        condition_on_previous_text: sequential,
        multilingual,
        initial_prompt: Some("names".to_owned()),
        prefix: Some("so".to_owned()),
        // A threshold between the probabilities of the loud and the quiet parts.
        vad: Some(VadOptions { threshold: 0.85, ..VadOptions::default() }),
        ..TranscribeOptions::default()
    }
}

proptest! {
    #![proptest_config(Config::with_cases(12))]

    #[test]
    fn a_resumed_transcription_gives_the_same_transcript(
        parts in prop::collection::vec(prop_oneof![1_usize..8, 1_usize..90, 60_usize..400], 4..14),
        sequential: bool,
        multilingual: bool,
    ) {
        let options = options(sequential, multilingual);
        let (whole, checkpoints, n_requests) = run(&parts, &options, &[]);
        for count in 0..=checkpoints.len() {
            let (resumed, resumed_checkpoints, n_resumed_requests) = run(&parts, &options, &checkpoints[..count]);
            prop_assert_eq!(&resumed, &whole);
            prop_assert_eq!(&resumed_checkpoints, &checkpoints);
            // When the transcription is resumed, the windows that have checkpoints are not requested from the decoder
            // again.
            prop_assert!(n_resumed_requests + count <= n_requests);
        }
    }

    #[test]
    fn replaying_checkpoints_restores_the_state_of_the_uninterrupted_run(
        parts in prop::collection::vec(prop_oneof![1_usize..8, 1_usize..90, 60_usize..400], 4..14),
        sequential: bool,
        multilingual: bool,
    ) {
        let options = options(sequential, multilingual);
        let (_, checkpoints, _) = run(&parts, &options, &[]);
        for count in 1..=checkpoints.len() {
            let expected = state_after(count, &parts, &options);
            prop_assert_eq!(replayed_state(&checkpoints[..count], &parts, &options), expected, "after {} windows", count);
        }
    }
}

#[test]
fn checkpoints_of_another_recording_are_an_error() {
    let options = options(false, false);
    let (_, checkpoints, _) = run(&[100, 20, 300, 20, 200], &options, &[]);
    let resume = |parts: &[usize]| {
        let model = HashingModel::default();
        let mut on_event = |_: Event<'_>| ControlFlow::Continue(());
        pipeline(&model, parts, &options, &mut on_event).run(checkpoints.clone())
    };
    assert!(checkpoints.len() > 1);
    assert!(resume(&[100, 20, 300, 20, 200]).is_ok());
    assert!(matches!(resume(&[150, 120, 300, 20, 200]), Err(Error::CannotResume)));
    assert!(matches!(resume(&[100]), Err(Error::CannotResume)));
}

#[test]
fn replaying_can_be_cancelled() {
    let (parts, options) = ([300, 60, 300, 60, 300], options(false, false));
    let (whole, checkpoints, _) = run(&parts, &options, &[]);
    let model = HashingModel::default();
    let mut cancel = |_: Event<'_>| ControlFlow::Break(());
    let transcript = pipeline(&model, &parts, &options, &mut cancel).run(checkpoints).unwrap();
    assert_eq!(transcript.ending, Ending::Cancelled);
    assert!(transcript.segments.len() < whole.segments.len() && model.n_requests.get() == 0);
}
