//! Long recordings, read by a model that says what it is told to.

// Times are compared as they are made: hundredths of a second.
#![allow(clippy::float_cmp)]

use std::cell::RefCell;

use amanuensis_engine::{DecodingResult, Task};

use super::*;
use crate::scheduler::{Answer, Failure};
use crate::transcriber::check;
use crate::windows::tests::Scripted;

fn sequential() -> TranscribeOptions {
    TranscribeOptions { strategy: Strategy::Sequential, ..TranscribeOptions::default() }
}

/// Tokens from here on are times of 20 ms; lower ones are text.
const TIME: u32 = 1000;

/// A time in seconds as a token.
fn at(seconds: f64) -> u32 {
    TIME + (seconds / 0.02).round() as u32
}

/// Says these windows one after the other, then nothing.
struct Script {
    windows: RefCell<Vec<Result<DecodingResult, &'static str>>>,
    /// What language detection answers, one a call; the last answer stays.
    languages: RefCell<Vec<&'static str>>,
    multilingual: bool,
    /// The languages that windows were decoded in.
    asked: RefCell<Vec<Option<String>>>,
    /// What their texts were to begin with.
    prefixes: RefCell<Vec<Vec<u32>>>,
}

impl Script {
    fn new(windows: Vec<Vec<u32>>) -> Self {
        Self {
            windows: RefCell::new(windows.into_iter().map(|tokens| Ok(speech(tokens))).collect()),
            languages: RefCell::new(vec!["en"]),
            multilingual: true,
            asked: RefCell::default(),
            prefixes: RefCell::default(),
        }
    }

    fn transcribe(&self, samples: Scripted) -> Result<Transcript, Error> {
        self.transcribe_with(samples, &sequential(), &mut |_| ControlFlow::Continue(()))
    }

    fn transcribe_with(
        &self,
        samples: Scripted,
        options: &TranscribeOptions,
        on_event: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Transcript, Error> {
        LongForm::new((self, self, None), "scripted", LogMel::new(80).unwrap(), samples, options, on_event).run()
    }
}

impl Model for Script {
    fn is_multilingual(&self) -> bool {
        self.multilingual
    }

    fn knows_language(&self, code: &str) -> bool {
        ["en", "de"].contains(&code)
    }

    fn n_frames(&self) -> usize {
        3000
    }

    fn window_frames(&self, _frames: usize) -> usize {
        self.n_frames()
    }

    fn context_tokens(&self) -> usize {
        10
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        text.chars().filter_map(|c| " abc".chars().position(|known| known == c)).map(|token| token as u32).collect()
    }

    fn text(&self, tokens: &[u32]) -> String {
        tokens.iter().filter(|&&token| token < TIME).map(|&token| [" ", "a", " b", " c."][token as usize]).collect()
    }

    fn timestamp(&self, token: u32) -> Option<f64> {
        Some(f64::from(token.checked_sub(TIME)?) * 0.02)
    }

    fn words(
        &self,
        _: &EncoderOutput,
        _: (Language, Task),
        _: &[(std::ops::Range<usize>, &[u32])],
        _: &Listened,
        _: usize,
    ) -> Result<Vec<crate::words::Spoken>, amanuensis_engine::Error> {
        unreachable!("no answer of the script holds a window")
    }
}

impl Reader for Script {
    type Ticket = Option<Language>;

    fn places(&self) -> usize {
        3
    }

    fn submit(&self, request: Request) -> Option<Language> {
        assert_eq!(request.mel.len(), 3000 * 80);
        self.prefixes.borrow_mut().push(request.options.prefix);
        request.language
    }

    fn wait(&self, mut language: Option<Language>) -> Result<Answer, Failure> {
        let mut detected = None;
        if self.multilingual && language.is_none() {
            let mut languages = self.languages.borrow_mut();
            let code = if languages.len() > 1 { languages.remove(0) } else { languages[0] };
            language = Language::from_code(code);
            detected = language.map(|language| (language, 0.4));
        }
        self.asked.borrow_mut().push(language.map(|language| language.code().to_owned()));
        let mut windows = self.windows.borrow_mut();
        let next = if windows.is_empty() { Ok(speech(Vec::new())) } else { windows.remove(0) };
        let failure = |reason: &str| Failure::Engine(amanuensis_engine::Error::UnknownLanguage(reason.to_owned()));
        let decoded = next.map_err(failure)?;
        let text = self.text(&decoded.tokens);
        let judged = Attempts::new(&TranscribeOptions::default()).judge(decoded, &text, None);
        Ok(Answer { judged, window: None, detected, encode: 0.5, decode: 0.25 })
    }
}

fn speech(tokens: Vec<u32>) -> DecodingResult {
    DecodingResult { tokens, avg_logprob: -0.3, no_speech_prob: 0.1, temperature: 0.0 }
}

fn silence() -> DecodingResult {
    DecodingResult { tokens: vec![at(0.0), 1, at(3.0)], avg_logprob: -1.5, no_speech_prob: 0.9, temperature: 0.0 }
}

/// Start, end and text of each segment.
fn summary(transcript: &Transcript) -> Vec<(f64, f64, &str)> {
    transcript.segments.iter().map(|segment| (segment.start, segment.end, segment.text.as_str())).collect()
}

#[test]
fn windows_move_on_to_the_last_timestamp() {
    let model = Script::new(vec![
        vec![at(0.0), 1, 2, at(4.54), at(4.54), 3, at(27.3), at(28.1), 1],
        vec![at(0.0), 1, at(10.0)],
        vec![at(1.0), 2, at(2.0), at(2.0)],
    ]);
    let transcript = model.transcribe(Scripted::seconds(62)).unwrap();
    let expected = [(0.0, 4.54, "a b"), (4.54, 27.3, " c."), (27.3, 37.3, "a"), (58.3, 59.3, " b")];
    // The second window begins where the first one's last segment ends, the third after all of the second.
    assert_eq!(summary(&transcript), expected);
    let places: Vec<_> = transcript.segments.iter().map(|segment| (segment.id, segment.seek)).collect();
    assert_eq!(places, [(0, 0), (1, 0), (2, 2730), (3, 5730)]);
    assert_eq!(transcript.segments[1].tokens, [at(4.54), 3, at(27.3)]);
    assert_eq!((transcript.duration, transcript.is_complete()), (62.0, true));
    // A window of 30 s, one from 27.3 s, one from 57.3 s, and the tail from 59.3 s.
    assert_eq!(model.asked.borrow().len(), 4);
}

#[test]
fn batched_windows_follow_one_another_whatever_is_said_in_them() {
    let model = Script::new(vec![
        vec![at(0.0), 1, 2, at(4.54), at(4.54), 3, at(25.3), at(26.1), 1],
        vec![at(0.0), 1, at(10.0)],
        vec![at(1.0), 2, at(2.0), at(2.0)],
    ]);
    let options = TranscribeOptions { strategy: Strategy::Batched, ..sequential() };
    let mut done = Vec::new();
    let transcript = model.transcribe_with(Scripted::seconds(62), &options, &mut |event| {
        if let Event::Progress { done: seconds, .. } = event {
            done.push(seconds);
        }
        ControlFlow::Continue(())
    });
    let transcript = transcript.unwrap();
    // All is silent, so windows are cut as late as the middle of a quiet stretch can be. The end of the first one's last
    // sentence is not known: it is that of the window.
    let expected =
        [(0.0, 4.54, "a b"), (4.54, 25.3, " c."), (26.1, 27.96, "a"), (27.96, 37.96, "a"), (56.93, 57.93, " b")];
    assert_eq!(summary(&transcript), expected);
    assert_eq!(transcript.segments.iter().map(|segment| segment.seek).collect::<Vec<_>>(), [0, 0, 0, 2796, 5593]);
    assert_eq!((transcript.duration, transcript.is_complete(), done), (62.0, true, vec![0.0, 27.96, 55.93]));
    assert_eq!(transcript.timings.encode, 1.5);
}

#[test]
fn segments_without_text_or_length_are_left_out() {
    let model = Script::new(vec![vec![at(0.0), 0, at(2.0), at(2.0), 1, at(2.0), at(2.0), 2, at(4.0)]]);
    let transcript = model.transcribe(Scripted::seconds(5)).unwrap();
    assert_eq!(summary(&transcript), [(2.0, 4.0, " b")]);
}

#[test]
fn times_stay_inside_the_recording() {
    let model = Script::new(vec![vec![at(0.0), 1, at(2.0), at(2.0), 2, at(6.0), at(7.0), 3, at(8.0)]]);
    let transcript = model.transcribe(Scripted::seconds(3)).unwrap();
    assert_eq!(summary(&transcript), [(0.0, 2.0, "a"), (2.0, 3.0, " b")]);
}

#[test]
fn a_tail_too_short_for_speech_is_not_decoded() {
    let model = Script::new(vec![vec![at(0.0), 1, at(1.86), at(1.86)], vec![at(0.0), 2, at(0.1)]]);
    let transcript = model.transcribe(Scripted::seconds(2)).unwrap();
    assert_eq!(summary(&transcript), [(0.0, 1.86, "a")]);
    assert!(transcript.warnings.is_empty());
}

#[test]
fn a_recording_too_short_for_speech_is_empty_with_a_warning() {
    let model = Script::new(vec![vec![at(0.0), 1, at(1.0)]]);
    let mut told = Vec::new();
    let samples = Scripted { blocks: vec![1600], warnings: vec!["cut off".to_owned()], ..Scripted::default() };
    let transcript = model
        .transcribe_with(samples, &sequential(), &mut |event| {
            told.push(format!("{event:?}"));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!((transcript.segments.len(), transcript.duration, transcript.is_complete()), (0, 0.1, true));
    assert_eq!((transcript.language, transcript.text()), (None, String::new()));
    assert_eq!(transcript.warnings, ["cut off", "the recording is too short for speech (100 ms)"]);
    assert_eq!(told.len(), 2);
}

#[test]
fn silent_windows_are_skipped() {
    let model = Script::new(vec![Vec::new(), vec![at(0.0), 1, at(2.0)]]);
    model.windows.borrow_mut()[0] = Ok(silence());
    assert_eq!(summary(&model.transcribe(Scripted::seconds(40)).unwrap()), [(30.0, 32.0, "a")]);
    // Text that the model is sure of counts, however sure it is of silence.
    let model = Script::new(vec![Vec::new()]);
    model.windows.borrow_mut()[0] = Ok(DecodingResult { avg_logprob: -0.5, ..silence() });
    assert_eq!(summary(&model.transcribe(Scripted::seconds(40)).unwrap()), [(0.0, 3.0, "a")]);
}

#[test]
fn speech_without_a_text_is_read_again_and_a_doubtful_text_is_then_not_believed() {
    let options = TranscribeOptions::default();
    let text = vec![at(0.0), 2, at(2.0)];
    for (avg_logprob, expected) in [(-0.9, vec![(0.0, 4.0, "a"), (4.0, 6.0, " b")]), (-1.2, vec![(0.0, 4.0, "a")])] {
        let model = Script::new(vec![vec![at(0.0), 1, at(4.0)]]);
        model.windows.borrow_mut().push(Ok(DecodingResult { avg_logprob, ..speech(text.clone()) }));
        let on_event = &mut |_: Event<'_>| ControlFlow::Continue(());
        let mel = LogMel::new(80).unwrap();
        let samples = Scripted::seconds(8);
        let mut long_form = LongForm::new((&model, &model, None), "scripted", mel, samples, &options, on_event);
        // Without a detector, everything counts as speech.
        long_form.detects_speech = true;
        assert_eq!(summary(&long_form.run().unwrap()), expected);
    }
}

#[test]
fn the_first_text_begins_with_the_prefix_and_no_other() {
    for strategy in [Strategy::Sequential, Strategy::Batched] {
        let only_the_prefix = vec![at(0.0), 0, 1, 2, at(27.0)];
        let model =
            Script::new(vec![Vec::new(), only_the_prefix, vec![at(0.0), 1, at(27.0)], vec![at(0.0), 2, at(27.0)]]);
        model.windows.borrow_mut()[0] = Ok(silence());
        let options = TranscribeOptions {
            strategy,
            language: Some(Language::ENGLISH),
            prefix: Some("ab".to_owned()),
            ..TranscribeOptions::default()
        };
        let transcript = model.transcribe_with(Scripted::seconds(140), &options, &mut |_| ControlFlow::Continue(()));
        assert_eq!(transcript.unwrap().segments.len(), 2);
        // Neither silence nor a text that is nothing else uses it up.
        let prefixes = model.prefixes.borrow();
        assert!(prefixes.len() >= 4);
        for (index, prefix) in prefixes.iter().enumerate() {
            assert_eq!(*prefix, if index < 3 { vec![0, 1, 2] } else { Vec::new() }, "window {index}, {strategy:?}");
        }
    }
}

#[test]
fn the_language_is_that_of_the_first_window_with_speech() {
    let model = Script::new(vec![Vec::new(), vec![at(0.0), 1, at(2.0)], vec![at(0.0), 1, at(2.0)]]);
    model.windows.borrow_mut()[0] = Ok(silence());
    *model.languages.borrow_mut() = vec!["en", "de", "en"];
    let mut detected = Vec::new();
    let transcript = model.transcribe_with(Scripted::seconds(75), &sequential(), &mut |event| {
        if let Event::Language { language, probability } = event {
            detected.push((language.code(), probability));
        }
        ControlFlow::Continue(())
    });
    assert_eq!(transcript.unwrap().language.map(Language::code), Some("de"));
    assert_eq!(detected, [("de", 0.4)]);
    let asked: Vec<_> = model.asked.borrow().iter().map(|code| code.clone().unwrap()).collect();
    assert_eq!(asked, ["en", "de", "de"]);
}

#[test]
fn where_nothing_is_said_there_is_no_language() {
    let model = Script::new(vec![Vec::new(), vec![at(0.0), 0, at(2.0)]]);
    model.windows.borrow_mut()[0] = Ok(silence());
    let transcript = model.transcribe(Scripted::seconds(40)).unwrap();
    assert_eq!((transcript.language, transcript.segments.len()), (None, 0));
}

#[test]
fn english_only_models_are_not_asked_for_the_language() {
    let model = Script { multilingual: false, ..Script::new(vec![vec![at(0.0), 1, at(2.0)]]) };
    let transcript = model.transcribe(Scripted::seconds(3)).unwrap();
    assert_eq!(transcript.language, Some(Language::ENGLISH));
    assert_eq!(*model.asked.borrow(), [Some("en".to_owned())]);
}

#[test]
fn what_a_model_cannot_do_is_refused() {
    let german = TranscribeOptions { language: "german".parse().ok(), ..TranscribeOptions::default() };
    let cantonese = TranscribeOptions { language: "yue".parse().ok(), ..TranscribeOptions::default() };
    let translate = TranscribeOptions { task: Task::Translate, ..TranscribeOptions::default() };
    let english = TranscribeOptions { language: Some(Language::ENGLISH), ..TranscribeOptions::default() };
    let multilingual = Script::new(Vec::new());
    let english_only = Script { multilingual: false, ..Script::new(Vec::new()) };
    assert!(matches!(check(&english_only, "m", &german), Err(Error::EnglishOnly { .. })));
    assert!(matches!(check(&english_only, "m", &translate), Err(Error::CannotTranslate { .. })));
    assert!(matches!(check(&multilingual, "m", &cantonese), Err(Error::LanguageNotKnown { .. })));
    assert!(check(&english_only, "m", &english).is_ok() && check(&multilingual, "m", &translate).is_ok());
    let message = check(&english_only, "tiny.en", &german).unwrap_err().to_string();
    assert!(message.contains("tiny.en") && message.contains("german"), "{message}");
}

#[test]
fn cancelling_keeps_the_segments_so_far() {
    let model = Script::new(vec![vec![at(0.0), 1, at(2.0), at(2.0), 2, at(3.0)]; 3]);
    let transcript = model.transcribe_with(Scripted::seconds(75), &sequential(), &mut |event| {
        if matches!(event, Event::Segment(segment) if segment.id == 2) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let transcript = transcript.unwrap();
    assert_eq!((transcript.segments.len(), &transcript.ending), (4, &Ending::Cancelled));
    assert_eq!(transcript.duration, 60.0);
}

#[test]
fn a_recording_that_cannot_be_read_to_its_end_keeps_the_segments_so_far() {
    let model = Script::new(vec![vec![at(0.0), 1, at(2.0)]]);
    let transcript = model.transcribe(Scripted { fails: true, ..Scripted::seconds(5) }).unwrap();
    assert_eq!(summary(&transcript), [(0.0, 2.0, "a")]);
    assert_eq!(transcript.duration, 5.0);
    assert!(matches!(&transcript.ending, Ending::Failed(reason) if reason.contains("cable pulled")));
    assert!(model.transcribe(Scripted { fails: true, ..Scripted::seconds(0) }).is_err());
}

#[test]
fn a_window_that_cannot_be_decoded_keeps_the_segments_so_far() {
    let model = Script::new(vec![vec![at(0.0), 1, at(2.0)], Vec::new()]);
    model.windows.borrow_mut()[1] = Err("klingon");
    let transcript = model.transcribe(Scripted::seconds(50)).unwrap();
    assert_eq!((summary(&transcript), transcript.duration), (vec![(0.0, 2.0, "a")], 30.0));
    assert!(matches!(&transcript.ending, Ending::Failed(reason) if reason.contains("klingon")));

    let model = Script::new(vec![Vec::new()]);
    model.windows.borrow_mut()[0] = Err("klingon");
    assert!(model.transcribe(Scripted::seconds(50)).is_err());
}

#[test]
fn progress_comes_before_every_window() {
    let model = Script::new(vec![vec![at(0.0), 1, at(20.0), at(20.0)], vec![at(0.0), 1, at(2.0)]]);
    let mut done = Vec::new();
    let transcript = model.transcribe_with(Scripted::seconds(45), &sequential(), &mut |event| {
        if let Event::Progress { done: seconds, total: None } = event {
            done.push(seconds);
        }
        ControlFlow::Continue(())
    });
    assert!(transcript.unwrap().is_complete());
    assert_eq!(done, [0.0, 20.0]);
}
