//! The options and the result of decoding a window.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantNames};

/// The kind of text that the model writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Display, EnumString, VariantNames, Serialize, Deserialize)]
#[strum(serialize_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Transcribe: write down the speech in the spoken language.
    #[default]
    Transcribe,
    /// Translate the speech into English.
    Translate,
}

/// Options for decoding a window.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodeOptions {
    /// The code of the spoken language. Multilingual models need it; English-only models accept none or "en".
    pub language: Option<String>,
    /// Whether to transcribe or to translate.
    pub task: Task,
    /// Whether to generate timestamp tokens.
    pub timestamps: bool,
    /// The method that chooses the next token.
    pub search: Search,
    /// How hypotheses (candidate token sequences) are ranked. `None` ranks them by mean log-probability per token, as
    /// openai-whisper does by default. With a penalty, the score is `log-probability / ((5 + tokens) /
    /// 6)^length_penalty` (Wu et al., arXiv 1609.08144).
    pub length_penalty: Option<f32>,
    /// Tokens of the previous windows, including timestamps, which the model takes as context. If there are too many,
    /// only the latest ones are used.
    pub previous: Vec<u32>,
    /// Text tokens with which every transcript of the window must begin.
    pub prefix: Vec<u32>,
    /// Whether to stop as soon as all hypotheses (candidate token sequences) repeat a phrase endlessly. Otherwise
    /// decoding continues until no text position is left. Useful if the caller rejects such results anyway.
    pub abandon_loops: bool,
    /// Options of the filters that decide which tokens are allowed.
    pub logits_filters: LogitsFilterOptions,
}

/// The search method, which chooses the next token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Search {
    /// Chooses the most probable token.
    Greedy,
    /// Beam search. It extends the `size` most probable hypotheses (candidate token sequences) until `size *
    /// patience` hypotheses have finished (Kasai et al., arXiv 2204.05424).
    Beam {
        /// The number of hypotheses that are extended in parallel; 0 counts as 1.
        size: usize,
        /// A factor that decides when the search stops: at `size * patience` finished hypotheses. It is 1 in the
        /// usual beam search.
        patience: f32,
    },
    /// Samples each token at random, at a temperature, and returns the best of several token sequences.
    Sample {
        /// The temperature, greater than 0. At 1, tokens have the probabilities that the model gives them.
        temperature: f32,
        /// Number of token sequences to sample; 0 counts as 1.
        best_of: usize,
        /// The seed of the random numbers. The same seed gives the same tokens, whatever other windows are in the
        /// batch.
        seed: u64,
    },
}

impl Search {
    /// The sampling temperature, or 0 for the other search methods.
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
    /// Whether to suppress the tokens that the model's files list, such as music notes. They do not represent speech.
    pub suppress_listed: bool,
    /// Further tokens to suppress.
    pub suppress: Vec<u32>,
    /// Whether the first token must not be one of those that the model's files forbid at the first position. These
    /// are usually the blank and the end token.
    pub suppress_blank: bool,
    /// The latest time that the first timestamp of a window can have, in seconds from the start of the window.
    pub max_initial_timestamp: f64,
    /// The length in tokens of text sequences that must not occur twice; 0 allows all repetitions.
    pub no_repeat_ngram_size: usize,
    /// A penalty for text tokens that occurred before: their logits are divided by it if they are positive, and
    /// multiplied by it if they are negative (Keskar et al., arXiv 1909.05858). A penalty of 1 has no effect.
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
    /// The default options give a transcript with timestamps, decoded greedily.
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
    /// The decoded text and timestamp tokens. They include [`DecodeOptions::prefix`], but not the prompt and the end
    /// token.
    pub tokens: Vec<u32>,
    /// Mean log-probability of the sampled tokens, including the end token.
    pub avg_logprob: f32,
    /// Probability that the window contains no speech.
    pub no_speech_prob: f32,
    /// The sampling temperature, or 0 if nothing was sampled.
    pub temperature: f32,
}
