//! The prompt of a window: hot words, the initial prompt, and the text transcribed so far.

use crate::TranscribeOptions;
use crate::model::Model;

/// The prompt that conditions the next window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// Hot words and initial prompt, which every window gets.
    static_tokens: Vec<u32>,
    /// The last tokens transcribed, timestamps included: without timestamps in the prompt, the model tends to leave them
    /// out of its output too. `None` if windows are not conditioned on previous text.
    previous_tokens: Option<Vec<u32>>,
    max_tokens: usize,
    is_truncated: bool,
}

impl Prompt {
    pub(crate) fn new(model: &impl Model, options: &TranscribeOptions) -> Self {
        let max_tokens = model.max_prompt_tokens();
        let mut static_tokens = model.encode_phrase(options.hotwords.as_deref());
        let initial_prompt = model.encode_phrase(options.initial_prompt.as_deref());
        let is_truncated = static_tokens.len() + initial_prompt.len() > max_tokens;
        // Keep the first of too many hot words, but the end of too long a prompt: the end is nearest to the window's text.
        static_tokens.truncate(max_tokens);
        static_tokens.extend(last(&initial_prompt, max_tokens - static_tokens.len()));
        let previous_tokens = options.condition_on_previous_text.then(Vec::new);
        Self { static_tokens, previous_tokens, max_tokens, is_truncated }
    }

    /// Whether hot words and initial prompt are longer than the model allows, so that a part is missing.
    pub(crate) fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// The part that every window gets: hot words and initial prompt.
    pub(crate) fn static_prompt(&self) -> Vec<u32> {
        self.static_tokens.clone()
    }

    /// The static prompt, followed by as much of the end of the previous text as fits.
    pub(crate) fn for_next_window(&self) -> Vec<u32> {
        let text = self.previous_tokens.as_deref().unwrap_or_default();
        [&self.static_tokens, last(text, self.max_tokens - self.static_tokens.len())].concat()
    }

    /// Appends transcribed tokens to the previous text.
    pub(crate) fn append(&mut self, tokens: &[u32]) {
        if let Some(text) = &mut self.previous_tokens {
            text.extend(tokens);
            text.drain(..text.len().saturating_sub(self.max_tokens));
        }
    }

    /// Drops the previous text, because it would mislead the next window.
    pub(crate) fn reset(&mut self) {
        self.previous_tokens.iter_mut().for_each(Vec::clear);
    }
}

/// The last `count` tokens, or all if there are fewer.
fn last(tokens: &[u32], count: usize) -> &[u32] {
    &tokens[tokens.len().saturating_sub(count)..]
}
