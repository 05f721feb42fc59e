//! A scripted model: its hypotheses are given in advance.

use std::cell::RefCell;
use std::ops::{ControlFlow, Range};

use amanuensis_audio::LogMel;
use amanuensis_engine::{DecodingResult, EncoderOutput, Frames, Task};

use crate::decoding::{DecodeFailure, DecodedWindow, Fallback, Request, WindowDecoder};
use crate::model::Model;
use crate::pipeline::{Parts, Pipeline};
use crate::sample_buffer::tests::SilentSource;
use crate::words::{SegmentWords, SilenceMap};
use crate::{Error, Event, Language, Strategy, TranscribeOptions, Transcript};

/// Tokens from this number on are timestamps in steps of 20 ms; lower tokens are text.
const FIRST_TIMESTAMP: u32 = 1000;

/// The timestamp token for a time in seconds.
pub(crate) fn at(seconds: f64) -> u32 {
    FIRST_TIMESTAMP + (seconds / 0.02).round() as u32
}

/// Returns the given hypotheses one after the other. After the last one, returns empty hypotheses.
pub(crate) struct ScriptedModel {
    pub(crate) hypotheses: RefCell<Vec<Result<DecodingResult, &'static str>>>,
    /// The languages to detect, one for each window. After the list ends, the last language is detected in all
    /// further windows.
    pub(crate) languages: RefCell<Vec<&'static str>>,
    pub(crate) multilingual: bool,
    /// The language of each decoded window.
    pub(crate) decoded_languages: RefCell<Vec<Option<String>>>,
    /// The prefix of each submitted window.
    pub(crate) prefixes: RefCell<Vec<Vec<u32>>>,
}

impl ScriptedModel {
    /// Creates a multilingual model with these hypotheses, which all get a high log-probability.
    pub(crate) fn new(hypotheses: Vec<Vec<u32>>) -> Self {
        Self {
            hypotheses: RefCell::new(hypotheses.into_iter().map(|tokens| Ok(probable(tokens))).collect()),
            languages: RefCell::new(vec!["en"]),
            multilingual: true,
            decoded_languages: RefCell::default(),
            prefixes: RefCell::default(),
        }
    }

    /// The components of a pipeline that uses this model and no voice activity detector.
    pub(crate) fn parts(&self) -> Parts<'_, Self, Self> {
        let mel = LogMel::new(80).expect("80 mel bins are supported");
        Parts { model: self, model_name: "scripted", decoder: self, vad: None, mel }
    }

    /// Transcribes with the sequential strategy.
    pub(crate) fn transcribe(&self, source: SilentSource) -> Result<Transcript, Error> {
        self.transcribe_with(source, &sequential(), &mut |_| ControlFlow::Continue(()))
    }

    pub(crate) fn transcribe_with(
        &self,
        source: SilentSource,
        options: &TranscribeOptions,
        on_event: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Transcript, Error> {
        Pipeline::new(self.parts(), source, options, on_event).run(Vec::new())
    }
}

impl Model for ScriptedModel {
    fn is_multilingual(&self) -> bool {
        self.multilingual
    }

    fn knows_language(&self, code: &str) -> bool {
        ["en", "de"].contains(&code)
    }

    fn n_frames(&self) -> Frames {
        Frames(3000)
    }

    fn window_frames(&self, _: Frames) -> Frames {
        Model::n_frames(self)
    }

    fn max_prompt_tokens(&self) -> usize {
        10
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        text.chars().filter_map(|c| " abc".chars().position(|known| known == c)).map(|token| token as u32).collect()
    }

    fn text(&self, tokens: &[u32]) -> String {
        let text = tokens.iter().filter(|&&token| token < FIRST_TIMESTAMP);
        text.map(|&token| [" ", "a", " b", " c."][token as usize]).collect()
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

impl WindowDecoder for ScriptedModel {
    /// The language of the request that this ticket belongs to.
    type Ticket = Option<Language>;

    fn slots(&self) -> usize {
        3
    }

    fn submit(&self, request: Request) -> Option<Language> {
        assert_eq!(request.mel.len(), 3000 * 80);
        self.prefixes.borrow_mut().push(request.options.prefix);
        request.language
    }

    fn wait(&self, mut language: Option<Language>) -> Result<DecodedWindow, DecodeFailure> {
        let mut detected = None;
        if self.multilingual && language.is_none() {
            let mut languages = self.languages.borrow_mut();
            let code = if languages.len() > 1 { languages.remove(0) } else { languages[0] };
            language = Language::from_code(code);
            detected = language.map(|language| (language, 0.4));
        }
        self.decoded_languages.borrow_mut().push(language.map(|language| language.code().to_owned()));
        let mut hypotheses = self.hypotheses.borrow_mut();
        let next = if hypotheses.is_empty() { Ok(probable(Vec::new())) } else { hypotheses.remove(0) };
        let failure =
            |reason: &str| DecodeFailure::Engine(amanuensis_engine::Error::UnknownLanguage(reason.to_owned()));
        let result = next.map_err(failure)?;
        let text = self.text(&result.tokens);
        let check = Fallback::new(&TranscribeOptions::default()).check(result, &text, None);
        Ok(DecodedWindow { check, encoder_output: None, detected, encode_s: 0.5, decode_s: 0.25 })
    }
}

/// Default options with the sequential strategy.
pub(crate) fn sequential() -> TranscribeOptions {
    TranscribeOptions { strategy: Strategy::Sequential, ..TranscribeOptions::default() }
}

/// A hypothesis with a high log-probability.
pub(crate) fn probable(tokens: Vec<u32>) -> DecodingResult {
    DecodingResult { tokens, avg_logprob: -0.3, no_speech_prob: 0.1, temperature: 0.0 }
}

/// The hypothesis of a window that counts as silent.
pub(crate) fn silent() -> DecodingResult {
    DecodingResult { tokens: vec![at(0.0), 1, at(3.0)], avg_logprob: -1.5, no_speech_prob: 0.9, temperature: 0.0 }
}

/// Start, end and text of each segment.
pub(crate) fn summary(transcript: &Transcript) -> Vec<(f64, f64, &str)> {
    transcript.segments.iter().map(|segment| (segment.start, segment.end, segment.text.as_str())).collect()
}
