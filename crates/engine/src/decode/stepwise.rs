//! Decodes a window token by token and shows all intermediate results, for inspecting a model. It is not optimised
//! for speed.

use amanuensis_kernels::vector::log_sum_exp;

use super::logits::LogitsFilters;
use super::options::DecodeOptions;
use super::prompt::prompt;
use super::search::largest;
use crate::engine::Engine;
use crate::error::Error;
use crate::network::{EncoderOutput, Sequence};

/// A candidate for the next token and its log-probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenLogprob {
    /// The token id.
    pub token: u32,
    /// The log-probability of the token.
    pub logprob: f32,
}

/// A decoder for one token sequence. The caller appends the tokens one by one.
pub struct StepwiseDecoder<'e> {
    engine: &'e Engine,
    window: EncoderOutput,
    filters: LogitsFilters,
    sequence: Sequence,
    /// All tokens, including the prompt and tokens that the decoder has not processed yet.
    tokens: Vec<u32>,
    prompt_len: usize,
}

impl<'e> StepwiseDecoder<'e> {
    /// Starts a sequence with the prompt for `options`.
    ///
    /// # Errors
    /// If the model does not support what `options` request.
    pub fn new(engine: &'e Engine, window: &EncoderOutput, options: &DecodeOptions) -> Result<Self, Error> {
        let tokens = prompt(engine, options)?.tokens;
        Ok(Self {
            engine,
            window: window.clone(),
            filters: LogitsFilters::new(engine.config(), engine.vocabulary(), options),
            sequence: engine.start(window),
            prompt_len: tokens.len(),
            tokens,
        })
    }

    /// All tokens so far, including the prompt.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Number of tokens in the vocabulary.
    pub fn n_vocab(&self) -> usize {
        self.engine.vocabulary().n_vocab()
    }

    /// Appends a token. It can be any token, even one that the logits filters forbid.
    pub fn push(&mut self, token: u32) {
        self.tokens.push(token);
    }

    /// Whether decoding cannot continue, because the final token is the end token, or because there are more tokens
    /// than the model has text positions.
    pub fn is_over(&self) -> bool {
        let is_end = |token: &u32| *token == self.engine.vocabulary().special().eot;
        self.tokens[self.prompt_len..].last().is_some_and(is_end) || self.tokens.len() > self.engine.n_text_ctx()
    }

    /// Processes the tokens appended since the previous call, and returns the logits after the final token,
    /// `(n_vocab)`.
    ///
    /// # Errors
    /// If the ONNX runtime cannot run its graphs.
    ///
    /// # Panics
    /// If no token was appended, a token is not in the vocabulary, or there are more tokens than text positions.
    pub fn logits(&mut self) -> Result<Vec<f32>, Error> {
        let processed = self.sequence.len();
        self.engine.step(&mut self.sequence, &self.tokens[processed..])
    }

    /// The logits after the final token, computed from all tokens at once without a KV cache.
    ///
    /// # Errors
    /// If the ONNX runtime cannot run its graphs.
    ///
    /// # Panics
    /// If a token is not in the vocabulary, or there are more tokens than text positions.
    pub fn uncached_logits(&self) -> Result<Vec<f32>, Error> {
        self.engine.step(&mut self.engine.start(&self.window), &self.tokens)
    }

    /// Names and shapes of the cached attention keys and values.
    pub fn cache_shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.sequence.cache_shapes()
    }

    /// The most probable token that the logits filters allow, or the end token if they allow none.
    pub fn choose(&self, mut logits: Vec<f32>) -> TokenLogprob {
        self.filters.apply(self.engine.context().cpu, &self.tokens[self.prompt_len..], &mut logits);
        let end = TokenLogprob { token: self.engine.vocabulary().special().eot, logprob: 0.0 };
        self.most_probable(&logits, 1).first().copied().unwrap_or(end)
    }

    /// The `count` most probable tokens according to `logits`, best first. No logits filters are applied.
    pub fn most_probable(&self, logits: &[f32], count: usize) -> Vec<TokenLogprob> {
        let (max, log_sum) = log_sum_exp(self.engine.context().cpu, logits);
        let candidate = |(token, logit): (u32, f32)| TokenLogprob { token, logprob: logit - max - log_sum };
        largest(logits, count).into_iter().map(candidate).collect()
    }
}
