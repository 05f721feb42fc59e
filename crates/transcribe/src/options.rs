//! The options of a transcription.

use std::ops::Range;

use amanuensis_engine::{DecodeOptions, LogitsFilterOptions, Task};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantNames};

use crate::{Error, Language, VadOptions};

/// The options of a transcription. By default, the language is detected, and the text is transcribed in that
/// language, not translated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TranscribeOptions {
    /// The language spoken. If `None`, the language is detected.
    pub language: Option<Language>,
    /// Candidates for language detection; empty means all languages.
    pub languages: Vec<Language>,
    /// Whether to detect the language in every window, for recordings in which the language changes.
    pub multilingual: bool,
    /// Whether to transcribe in the language spoken or to translate to English.
    pub task: Task,
    /// How to divide the recording into windows.
    pub strategy: Strategy,
    /// Beam size; 1 means greedy decoding.
    pub beam_size: usize,
    /// Beam search ends when `beam_size * patience` hypotheses are complete.
    pub patience: f32,
    /// See [`DecodeOptions::length_penalty`](amanuensis_engine::DecodeOptions::length_penalty).
    pub length_penalty: Option<f32>,
    /// Temperature fallback: a window is decoded at each of these temperatures in turn until a hypothesis is
    /// accepted. Temperature 0 decodes without sampling.
    pub temperatures: Vec<f32>,
    /// The number of hypotheses to sample at a temperature above 0. The best hypothesis is used.
    pub best_of: usize,
    /// A hypothesis with a compression ratio above this threshold counts as repetitive and is rejected. `None` turns
    /// this check off.
    pub compression_ratio_threshold: Option<f32>,
    /// A hypothesis with a mean log-probability below this threshold is rejected. `None` turns this check off.
    pub logprob_threshold: Option<f32>,
    /// A window counts as silent if its no-speech probability is above this threshold and the mean log-probability of
    /// its hypothesis is below `logprob_threshold`. With `None`, no window counts as silent.
    pub no_speech_threshold: Option<f32>,
    /// A text in the prompt of every window, for example to suggest names, spelling or style to the model.
    pub initial_prompt: Option<String>,
    /// Words that are likely to occur in the recording. They are put in front of the prompt of every window.
    pub hotwords: Option<String>,
    /// Text with which the transcript must begin. The model continues this text.
    pub prefix: Option<String>,
    /// Whether the prompt of a window contains the text of the previous windows. Only for [`Strategy::Sequential`].
    pub condition_on_previous_text: bool,
    /// Restrictions on the tokens that the decoder may choose.
    #[serde(alias = "rules")]
    pub logits_filters: LogitsFilterOptions,
    /// Whether to determine the time of each word.
    pub word_timestamps: bool,
    /// Options of the voice activity detector, which finds speech. Only used if the transcriber has a detector. If
    /// `None`, the whole recording is transcribed.
    pub vad: Option<VadOptions>,
    /// The parts of the recording to transcribe, in seconds; empty means the whole recording.
    pub clips: Vec<Range<f64>>,
}

impl Default for TranscribeOptions {
    fn default() -> Self {
        Self {
            language: None,
            languages: Vec::new(),
            multilingual: false,
            task: Task::Transcribe,
            strategy: Strategy::Batched,
            beam_size: 1,
            patience: 1.0,
            length_penalty: None,
            temperatures: vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            best_of: 5,
            compression_ratio_threshold: Some(2.4),
            logprob_threshold: Some(-1.0),
            no_speech_threshold: Some(0.6),
            initial_prompt: None,
            hotwords: None,
            prefix: None,
            condition_on_previous_text: false,
            logits_filters: LogitsFilterOptions::default(),
            word_timestamps: false,
            vad: Some(VadOptions::default()),
            clips: Vec::new(),
        }
    }
}

/// How to divide a recording into windows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Display, EnumString, VariantNames, Serialize, Deserialize)]
#[strum(serialize_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Windows are split at pauses and do not depend on one another, so several windows are decoded at once.
    #[default]
    Batched,
    /// Windows are decoded one after the other. Each window begins where the text of the previous window ends.
    Sequential,
}

/// The upper limit for the beam size and for `best_of`.
const MAX_HYPOTHESES: usize = 32;

impl TranscribeOptions {
    /// The options that are passed to the engine unchanged. To pass on a new option, add it here.
    pub(crate) fn decode_options(&self) -> DecodeOptions {
        DecodeOptions {
            task: self.task,
            length_penalty: self.length_penalty,
            logits_filters: self.logits_filters.clone(),
            ..DecodeOptions::default()
        }
    }

    /// Checks that all values are within their ranges and do not contradict one another. `check_support` checks what
    /// depends on the model.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let problem = self.search_problem().or_else(|| self.filter_problem()).or_else(|| self.language_problem());
        match problem {
            Some(problem) => Err(Error::Options(problem.to_owned())),
            None => Ok(()),
        }
    }

    fn search_problem(&self) -> Option<&'static str> {
        let is_temperature = |temperature: &f32| *temperature == 0.0 || (0.01..=2.0).contains(temperature);
        let is_count = |count| (1..=MAX_HYPOTHESES).contains(&count);
        if self.strategy == Strategy::Batched && self.condition_on_previous_text {
            return Some(
                "conditioning on the previous text needs the sequential strategy; batched windows do not know the text before them",
            );
        }
        if self.temperatures.is_empty() || !self.temperatures.iter().all(is_temperature) {
            return Some("give at least one temperature; each is 0, or between 0.01 and 2");
        }
        if !is_count(self.beam_size) || !is_count(self.best_of) {
            return Some("the beam size and best_of lie between 1 and 32");
        }
        if self.length_penalty.is_some_and(|penalty| !(-10.0..=10.0).contains(&penalty)) {
            return Some("the length penalty lies between -10 and 10");
        }
        if !(self.patience > 0.0 && self.patience <= 100.0) {
            return Some("the patience of beam search lies above 0, and not above 100");
        }
        None
    }

    fn filter_problem(&self) -> Option<&'static str> {
        let filters = &self.logits_filters;
        if !(filters.repetition_penalty >= 1.0 && filters.repetition_penalty.is_finite()) {
            return Some("the repetition penalty is 1 (which changes nothing) or more");
        }
        if !(0.0..=60.0).contains(&filters.max_initial_timestamp) {
            return Some("the maximum initial timestamp lies between 0 and 60 seconds");
        }
        if self.vad.is_some_and(|vad| !vad.is_valid()) {
            return Some(
                "the speech threshold must be between 0 and 1, and the durations of speech, silence and padding between 0 and 60 s",
            );
        }
        if !self.clips.iter().all(|clip| 0.0 <= clip.start && clip.start < clip.end) {
            return Some("a clip begins at 0 seconds or later, and ends after it begins");
        }
        None
    }

    fn language_problem(&self) -> Option<&'static str> {
        if self.language.is_some() && !self.languages.is_empty() {
            return Some("give either the language, or candidates for its detection");
        }
        if self.multilingual && self.language.is_some() {
            return Some("a language cannot be given if the language is detected in every window (multilingual)");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_unchanged_after_storing_and_loading() {
        let options = TranscribeOptions {
            language: Some(Language::ENGLISH),
            task: Task::Translate,
            strategy: Strategy::Sequential,
            temperatures: vec![0.0, 0.1, 0.7],
            clips: vec![0.1..2.3],
            logits_filters: LogitsFilterOptions { suppress: vec![7], ..LogitsFilterOptions::default() },
            vad: None,
            ..TranscribeOptions::default()
        };
        for options in [options, TranscribeOptions::default()] {
            let stored = serde_json::to_string(&options).unwrap();
            assert_eq!(serde_json::from_str::<TranscribeOptions>(&stored).unwrap(), options);
        }
    }

    #[test]
    fn options_with_the_former_field_names_can_be_read() {
        let stored = r#"{"language": null, "languages": ["english"], "multilingual": false, "task": "transcribe",
            "strategy": "batched", "beam_size": 5, "patience": 1.0, "length_penalty": null,
            "temperatures": [0.0, 0.2], "best_of": 5, "compression_ratio_threshold": 2.4, "logprob_threshold": -1.0,
            "no_speech_threshold": 0.6, "initial_prompt": null, "hotwords": "Amanuensis", "prefix": null,
            "condition_on_previous_text": false, "rules": {"suppress_listed": true, "suppress": [7],
            "suppress_blank": true, "max_initial_timestamp": 1.0, "no_repeat_ngram_size": 3,
            "repetition_penalty": 1.1}, "word_timestamps": true, "vad": {"threshold": 0.4, "min_speech": 0.1,
            "min_silence": 0.1, "padding": 0.5}, "clips": [{"start": 0.1, "end": 2.3}]}"#;
        let expected = TranscribeOptions {
            languages: vec![Language::ENGLISH],
            beam_size: 5,
            temperatures: vec![0.0, 0.2],
            hotwords: Some("Amanuensis".to_owned()),
            logits_filters: LogitsFilterOptions {
                suppress: vec![7],
                no_repeat_ngram_size: 3,
                repetition_penalty: 1.1,
                ..LogitsFilterOptions::default()
            },
            word_timestamps: true,
            clips: vec![0.1..2.3],
            ..TranscribeOptions::default()
        };
        assert_eq!(serde_json::from_str::<TranscribeOptions>(stored).unwrap(), expected);
    }

    #[test]
    fn fields_that_were_not_stored_have_their_default() {
        let options: TranscribeOptions = serde_json::from_str(r#"{"task": "translate"}"#).unwrap();
        assert_eq!(options, TranscribeOptions { task: Task::Translate, ..TranscribeOptions::default() });
    }

    #[test]
    fn options_out_of_range_are_errors() {
        let default = TranscribeOptions::default;
        assert!(default().check().is_ok());
        for options in [
            TranscribeOptions { condition_on_previous_text: true, ..default() },
            TranscribeOptions { temperatures: Vec::new(), ..default() },
            TranscribeOptions { temperatures: vec![2.5], ..default() },
            TranscribeOptions { beam_size: MAX_HYPOTHESES + 1, ..default() },
            TranscribeOptions { best_of: 0, ..default() },
            TranscribeOptions { length_penalty: Some(f32::NAN), ..default() },
            TranscribeOptions { patience: 0.0, ..default() },
            TranscribeOptions { clips: vec![2.0..1.0], ..default() },
            TranscribeOptions { multilingual: true, language: Some(Language::ENGLISH), ..default() },
        ] {
            assert!(matches!(options.check(), Err(Error::Options(_))), "{options:?}");
        }
    }
}
