//! From a window to tokens.

mod batch;
mod filters;
mod hypothesis;
mod loops;
mod prompt;
mod random;
mod reading;
mod search;
mod slot;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantNames};

pub use self::batch::Batch;
pub(crate) use self::prompt::{MAX_PROMPT, prompt};
pub use self::reading::{StepwiseDecoder, TokenLogprob};

/// What to write down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Display, EnumString, VariantNames, Serialize, Deserialize)]
#[strum(serialize_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// What is said, in the language it is said in.
    #[default]
    Transcribe,
    /// What is said, in English.
    Translate,
}

/// How to decode a window.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodeOptions {
    /// The code of the language spoken; English-only models take none, or "en".
    pub language: Option<String>,
    /// What to write down.
    pub task: Task,
    /// Whether to find times too.
    pub timestamps: bool,
    /// How to choose among the tokens that may come next.
    pub search: Search,
    /// Which of several texts is best: the one of the highest probability a token where this is none, as the original
    /// does; else of the highest `log-probability / ((5 + tokens) / 6)^length_penalty` (Wu et al., arXiv 1609.08144).
    pub length_penalty: Option<f32>,
    /// Tokens that came before the window, times included, which the model takes as its context; of too many, the last.
    pub previous: Vec<u32>,
    /// Text tokens that the text begins with.
    pub prefix: Vec<u32>,
    /// Whether to give up a text that repeats itself over and over, instead of following it to the end of the model's
    /// context: for callers to whom it is worth nothing.
    pub abandon_loops: bool,
    /// Which tokens may come next.
    pub logits_filters: LogitsFilterOptions,
}

/// How to choose among the tokens that may come next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Search {
    /// Always the most probable one.
    Greedy,
    /// The `size` most probable texts are followed, until `size * patience` have come to their end (Kasai et al., arXiv
    /// 2204.05424).
    Beam {
        /// Texts followed at once, at least one.
        size: usize,
        /// 1 is the usual beam search.
        patience: f32,
    },
    /// Each token is drawn by its probability, sharpened or flattened by a temperature; of several texts the best.
    Sample {
        /// Above 0; 1 is the model's own distribution.
        temperature: f32,
        /// Texts to draw, at least one.
        best_of: usize,
        /// The same seed draws the same text, whatever else is decoded at the time.
        seed: u64,
    },
}

impl Search {
    /// 0 where nothing is drawn by chance.
    pub fn temperature(&self) -> f32 {
        match self {
            Self::Sample { temperature, .. } => *temperature,
            Self::Greedy | Self::Beam { .. } => 0.0,
        }
    }
}

/// Which tokens may come next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogitsFilterOptions {
    /// Whether to leave out the tokens that the model's files list: those that are not speech, such as music signs.
    pub suppress_listed: bool,
    /// Tokens to leave out besides.
    pub suppress: Vec<u32>,
    /// Whether a text may not begin with a blank or at once end.
    pub suppress_blank: bool,
    /// The first time lies within so many seconds of the window's beginning.
    pub max_initial_timestamp: f64,
    /// No run of so many tokens comes twice; 0 allows all.
    pub no_repeat_ngram_size: usize,
    /// Makes tokens that came before less probable: their logits are divided by this, negative ones multiplied (Keskar et
    /// al., arXiv 1909.05858). 1 changes nothing.
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
    /// A transcript with times, by greedy search.
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

/// The tokens of a window.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodingResult {
    /// Text and timestamps, [`DecodeOptions::prefix`] included, without the prompt and the end token.
    pub tokens: Vec<u32>,
    /// Mean log-probability of the sampled tokens, the end token included.
    pub avg_logprob: f32,
    /// Probability that the window holds no speech.
    pub no_speech_prob: f32,
    /// The temperature sampled at; 0 where nothing was drawn by chance.
    pub temperature: f32,
}
