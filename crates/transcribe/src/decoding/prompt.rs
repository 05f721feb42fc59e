//! The prompt of a window, which consists of hot words, the initial prompt and the previously transcribed text.

use crate::TranscribeOptions;
use crate::model::Model;

/// Builds the prompt of the next window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// The tokens of the hot words and the initial prompt, which are part of the prompt of every window.
    static_tokens: Vec<u32>,
    /// The most recently transcribed tokens. `None` if windows are not conditioned on previous text. Timestamp tokens
    /// are included, because the model tends to omit timestamps from its output if the prompt has none.
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
        // If the hot words alone are too long, keep their beginning. If the hot words fit but the initial prompt does
        // not, keep the end of the initial prompt, because the end is nearest to the text of the window.
        static_tokens.truncate(max_tokens);
        static_tokens.extend(last(&initial_prompt, max_tokens - static_tokens.len()));
        let previous_tokens = options.condition_on_previous_text.then(Vec::new);
        Self { static_tokens, previous_tokens, max_tokens, is_truncated }
    }

    /// Whether the hot words and the initial prompt are longer than the model allows, so that a part of them was left
    /// out.
    pub(crate) fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// The part of the prompt that is the same for every window: hot words and initial prompt.
    pub(crate) fn static_prompt(&self) -> Vec<u32> {
        self.static_tokens.clone()
    }

    /// The static prompt, followed by the end of the previous text. The start of the previous text is cut off if the
    /// prompt would be too long.
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

    /// Removes the previous text from the prompt. This is done if the previous text could mislead the model in the
    /// next window.
    pub(crate) fn reset(&mut self) {
        self.previous_tokens.iter_mut().for_each(Vec::clear);
    }
}

/// The final `count` tokens of `tokens`, or all if there are fewer.
fn last(tokens: &[u32], count: usize) -> &[u32] {
    &tokens[tokens.len().saturating_sub(count)..]
}
