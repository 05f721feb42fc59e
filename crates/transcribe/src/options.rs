//! What can be asked of a transcription.

use std::ops::Range;

use amanuensis_engine::{DecodeOptions, LogitsFilterOptions, Task};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantNames};

use crate::{Error, Language, VadOptions};

/// What to make of a recording. By default: text in the language spoken, which is detected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TranscribeOptions {
    /// The language spoken; detected where it is not given.
    pub language: Option<Language>,
    /// Where there are some, the language is detected among these alone.
    pub languages: Vec<Language>,
    /// Whether the language is detected anew in every window, for recordings that change between several.
    pub multilingual: bool,
    /// Whether to write in the language spoken, or in English.
    pub task: Task,
    /// How to go through the recording.
    pub strategy: Strategy,
    /// Texts that are followed at once in a window; 1 is greedy.
    pub beam_size: usize,
    /// A beam search ends when so many times its size texts have ended.
    pub patience: f32,
    /// See [`DecodeOptions::length_penalty`](amanuensis_engine::DecodeOptions::length_penalty).
    pub length_penalty: Option<f32>,
    /// The temperatures to decode a window at, one after the other until its text passes; 0 draws nothing by chance.
    pub temperatures: Vec<f32>,
    /// Texts drawn at a temperature above 0, of which the best is taken.
    pub best_of: usize,
    /// A text that compresses better than this repeats itself, and does not pass.
    pub compression_ratio_threshold: Option<f32>,
    /// A text whose mean log-probability is lower than this does not pass.
    pub logprob_threshold: Option<f32>,
    /// A window with a higher probability of no speech is silent, if its text is improbable too.
    pub no_speech_threshold: Option<f32>,
    /// What the model is told before the text of every window: names, spelling, style.
    pub initial_prompt: Option<String>,
    /// Words to expect, which the model is told before every window.
    pub hotwords: Option<String>,
    /// What the first text begins with.
    pub prefix: Option<String>,
    /// Whether the model is told the text before a window. Only the sequential strategy knows it.
    pub condition_on_previous_text: bool,
    /// Which tokens may come next.
    #[serde(alias = "rules")]
    pub logits_filters: LogitsFilterOptions,
    /// Whether to find the times of words.
    pub word_timestamps: bool,
    /// What counts as speech, for a transcriber that has a voice detector; none reads everything.
    pub vad: Option<VadOptions>,
    /// What to read of the recording, in seconds; all of it where there is none.
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

/// How to go through a recording that is longer than a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Display, EnumString, VariantNames, Serialize, Deserialize)]
#[strum(serialize_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Windows are cut where it is quiet, and many are read at once.
    #[default]
    Batched,
    /// One window after the other, each from where the text of the one before ends.
    Sequential,
}

impl TranscribeOptions {
    /// The options that are the engine's own. Adding one here is all it takes to pass it on with every window.
    pub(crate) fn decode_options(&self) -> DecodeOptions {
        DecodeOptions {
            task: self.task,
            length_penalty: self.length_penalty,
            logits_filters: self.logits_filters.clone(),
            ..DecodeOptions::default()
        }
    }

    /// Whether the options make sense together, whatever the model.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |problem: &str| Err(Error::Options(problem.to_owned()));
        let is_temperature = |temperature: &f32| *temperature == 0.0 || (0.01..=2.0).contains(temperature);
        if self.strategy == Strategy::Batched && self.condition_on_previous_text {
            return refuse(
                "windows that are read at once cannot be told the text before them; use the sequential strategy",
            );
        }
        if self.temperatures.is_empty() || !self.temperatures.iter().all(is_temperature) {
            return refuse("temperatures are 0, or lie between 0.01 and 2, and at least one is needed");
        }
        if !(1..=MOST_TEXTS).contains(&self.beam_size) || !(1..=MOST_TEXTS).contains(&self.best_of) {
            return refuse("from 1 to 32 texts of a window can be followed at once");
        }
        if self.length_penalty.is_some_and(|penalty| !(-10.0..=10.0).contains(&penalty)) {
            return refuse("the exponent that favours long texts lies between -10 and 10");
        }
        if !(self.patience > 0.0 && self.patience <= 100.0) {
            return refuse("the patience of a beam search lies above 0, and not above 100");
        }
        if !(self.logits_filters.repetition_penalty >= 1.0 && self.logits_filters.repetition_penalty.is_finite()) {
            return refuse("a repetition penalty is 1, which changes nothing, or more");
        }
        if !(0.0..=60.0).contains(&self.logits_filters.max_initial_timestamp) {
            return refuse("the latest first timestamp is a number of seconds, up to 60");
        }
        if self.vad.is_some_and(|vad| !vad.is_valid()) {
            return refuse(
                "the threshold of speech is a probability, from 0 to 1, and its times lie between 0 and 60 seconds",
            );
        }
        if !self.clips.iter().all(|clip| 0.0 <= clip.start && clip.start < clip.end) {
            return refuse("a clip ends after it begins, and begins in the recording");
        }
        if self.language.is_some() && !self.languages.is_empty() {
            return refuse("either the language is given, or those of which one is spoken");
        }
        if self.multilingual && self.language.is_some() {
            return refuse("either the language is given, or it is detected in every window");
        }
        Ok(())
    }
}

/// Texts of a window that are followed at once, at most.
const MOST_TEXTS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_back_as_they_were_kept() {
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
            let kept = serde_json::to_string(&options).unwrap();
            assert_eq!(serde_json::from_str::<TranscribeOptions>(&kept).unwrap(), options);
        }
    }
}
