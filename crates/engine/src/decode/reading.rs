//! A window read token by token, with all that the decoder says on the way: for looking at a model, not for speed.

use amanuensis_kernels::vector::log_sum_exp;

use super::DecodeOptions;
use super::filters::Filters;
use super::prompt::prompt;
use super::search::largest;
use crate::sequence::Sequence;
use crate::window::EncoderOutput;
use crate::{Engine, Error};

/// A token that may come next, and its log-probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenLogprob {
    /// The token.
    pub token: u32,
    /// Among all tokens that may come next.
    pub logprob: f32,
}

/// A text that grows by what its reader chooses.
pub struct StepwiseDecoder<'e> {
    engine: &'e Engine,
    window: EncoderOutput,
    filters: Filters,
    sequence: Sequence,
    /// The prompt, then the text.
    tokens: Vec<u32>,
    prompt_len: usize,
}

impl<'e> StepwiseDecoder<'e> {
    /// An empty text of a window, behind the prompt that `options` ask for.
    ///
    /// # Errors
    /// Where the model cannot do what `options` ask.
    pub fn new(engine: &'e Engine, window: &EncoderOutput, options: &DecodeOptions) -> Result<Self, Error> {
        let tokens = prompt(engine, options)?.tokens;
        Ok(Self {
            engine,
            window: window.clone(),
            filters: Filters::new(engine.config(), engine.vocabulary(), options),
            sequence: engine.start(window),
            prompt_len: tokens.len(),
            tokens,
        })
    }

    /// The prompt and the text so far.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The number of token ids of the model.
    pub fn n_vocab(&self) -> usize {
        self.engine.vocabulary().n_vocab()
    }

    /// Appends a token to the text, whether or not it is one that [`Self::choose`] allows.
    pub fn push(&mut self, token: u32) {
        self.tokens.push(token);
    }

    /// Whether the text has come to its end, or the model has no position left.
    pub fn is_over(&self) -> bool {
        let is_end = |token: &u32| *token == self.engine.vocabulary().special().eot;
        self.tokens[self.prompt_len..].last().is_some_and(is_end) || self.tokens.len() > self.engine.n_text_ctx()
    }

    /// The logits after the last token, `(n_vocab)`; the decoder takes the tokens that it has not taken yet.
    ///
    /// # Panics
    /// If it has taken all of them, a token is not of this model, or [`Self::is_over`].
    pub fn logits(&mut self) -> Result<Vec<f32>, Error> {
        let taken = self.sequence.len();
        self.engine.step(&mut self.sequence, &self.tokens[taken..])
    }

    /// The same logits, by a decoder that takes all tokens at once and remembers nothing.
    ///
    /// # Panics
    /// As [`Self::logits`], but for the first of its reasons.
    pub fn uncached_logits(&self) -> Result<Vec<f32>, Error> {
        self.engine.step(&mut self.engine.start(&self.window), &self.tokens)
    }

    /// What the decoder remembers, by name and shape.
    pub fn cache_shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.sequence.cache_shapes()
    }

    /// The most probable token that the rules allow after these logits; the end token where they allow none.
    pub fn choose(&self, mut logits: Vec<f32>) -> TokenLogprob {
        self.filters.apply(self.engine.context().cpu, &self.tokens[self.prompt_len..], &mut logits);
        let end = TokenLogprob { token: self.engine.vocabulary().special().eot, logprob: 0.0 };
        self.most_probable(&logits, 1).first().copied().unwrap_or(end)
    }

    /// The most probable tokens, rules aside, best first.
    pub fn most_probable(&self, logits: &[f32], count: usize) -> Vec<TokenLogprob> {
        let (top, log_sum) = log_sum_exp(self.engine.context().cpu, logits);
        let choice = |(token, logit): (u32, f32)| TokenLogprob { token, logprob: logit - top - log_sum };
        largest(logits, count).into_iter().map(choice).collect()
    }
}
