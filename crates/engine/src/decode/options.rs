//! The options and the result of decoding a window.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantNames};

/// What the model writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Display, EnumString, VariantNames, Serialize, Deserialize)]
#[strum(serialize_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// A transcript in the language that is spoken.
    #[default]
    Transcribe,
    /// A translation into English.
    Translate,
}

/// How to decode a window.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodeOptions {
    /// The code of the spoken language. Multilingual models need it; English-only models accept none or "en".
    pub language: Option<String>,
    /// Transcribe or translate.
    pub task: Task,
    /// Whether to decode timestamp tokens.
    pub timestamps: bool,
    /// How the next token is chosen.
    pub search: Search,
    /// How hypotheses are ranked. `None` ranks them by log-probability per token, as openai-whisper does by default. With a
    /// penalty, the score is `log-probability / ((5 + tokens) / 6)^length_penalty` (Wu et al., arXiv 1609.08144).
    pub length_penalty: Option<f32>,
    /// Tokens that were decoded before the window, timestamps included, which the model takes as context. If there are too
    /// many, the last ones are used.
    pub previous: Vec<u32>,
    /// Text tokens that every hypothesis begins with.
    pub prefix: Vec<u32>,
    /// Whether to stop as soon as all hypotheses repeat the same phrase over and over, instead of decoding to the end of the
    /// text positions. Useful if the caller rejects such results anyway.
    pub abandon_loops: bool,
    /// Which tokens are allowed.
    pub logits_filters: LogitsFilterOptions,
}

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Search {
    /// Always the most probable token.
    Greedy,
    /// Beam search: follows the `size` most probable hypotheses until `size * patience` have finished (Kasai et al., arXiv
    /// 2204.05424).
    Beam {
        /// Number of hypotheses to follow, at least one.
        size: usize,
        /// 1 is the usual beam search.
        patience: f32,
    },
    /// Samples each token from the distribution at a temperature, and returns the best of several hypotheses.
    Sample {
        /// Greater than 0. 1 is the model's own distribution.
        temperature: f32,
        /// Number of hypotheses to sample, at least one.
        best_of: usize,
        /// The same seed gives the same tokens, whatever else is in the batch.
        seed: u64,
    },
}

impl Search {
    /// The sampling temperature; 0 if nothing is sampled.
    pub fn temperature(&self) -> f32 {
        match self {
            Self::Sample { temperature, .. } => *temperature,
            Self::Greedy | Self::Beam { .. } => 0.0,
        }
    }
}

/// Options of the logits filters, which decide which tokens are allowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogitsFilterOptions {
    /// Whether to suppress the tokens listed in the model's files, which are not speech, such as music notes.
    pub suppress_listed: bool,
    /// Further tokens to suppress.
    pub suppress: Vec<u32>,
    /// Whether to suppress a blank and the end token at the beginning.
    pub suppress_blank: bool,
    /// The latest value of the first timestamp, in seconds from the start of the window.
    pub max_initial_timestamp: f64,
    /// No sequence of this many text tokens may occur twice; 0 allows all.
    pub no_repeat_ngram_size: usize,
    /// Makes text tokens that occurred before less probable: positive logits are divided by it, negative ones multiplied
    /// (Keskar et al., arXiv 1909.05858). 1 has no effect.
    pub repetition_penalty: f32,
}

impl Default for LogitsFilterOptions {
    fn default() -> Self {
        Self {
            suppress_listed: true,
            suppress: Vec::new(),
            suppress_blank: true,
            max_initial_timestamp: 1.0,
            no_repeat_ngram_size: 0,
            repetition_penalty: 1.0,
        }
    }
}

impl Default for DecodeOptions {
    /// A transcript with timestamps, by greedy search.
    fn default() -> Self {
        Self {
            language: None,
            task: Task::Transcribe,
            timestamps: true,
            search: Search::Greedy,
            length_penalty: None,
            previous: Vec::new(),
            prefix: Vec::new(),
            abandon_loops: false,
            logits_filters: LogitsFilterOptions::default(),
        }
    }
}

/// The result of decoding a window.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodingResult {
    /// Text and timestamp tokens, including [`DecodeOptions::prefix`], without the prompt and the end token.
    pub tokens: Vec<u32>,
    /// Mean log-probability of the sampled tokens, including the end token.
    pub avg_logprob: f32,
    /// Probability that the window contains no speech.
    pub no_speech_prob: f32,
    /// The sampling temperature; 0 if nothing was sampled.
    pub temperature: f32,
}
