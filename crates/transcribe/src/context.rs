//! What the model is told before the text of a window: words to expect, the caller's own prompt, and the text so far.

use crate::TranscribeOptions;
use crate::model::Model;

pub(crate) struct Context {
    /// Hot words and initial prompt, which every window is told.
    lasting: Vec<u32>,
    /// The text so far, times included, without which the model would give none either; if windows are told it.
    text: Option<Vec<u32>>,
    /// Tokens that there is room for.
    room: usize,
    /// Whether hot words and prompt are longer.
    is_cut: bool,
}

impl Context {
    pub(crate) fn new(model: &impl Model, options: &TranscribeOptions) -> Self {
        let room = model.context_tokens();
        let encoded = |text: &Option<String>| {
            let text = text.as_deref().map(str::trim).filter(|text| !text.is_empty());
            text.map_or_else(Vec::new, |text| model.encode(&format!(" {text}")))
        };
        let mut lasting = encoded(&options.hotwords);
        let prompt = encoded(&options.initial_prompt);
        let is_cut = lasting.len() + prompt.len() > room;
        // Of too many words to expect the first, of a prompt the end, as of any text before a window.
        lasting.truncate(room);
        let most = room - lasting.len();
        lasting.extend(&prompt[prompt.len().saturating_sub(most)..]);
        Self { lasting, text: options.condition_on_previous_text.then(Vec::new), room, is_cut }
    }

    /// Whether there is no room for all that windows are to be told.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// What every window is told.
    pub(crate) fn lasting(&self) -> Vec<u32> {
        self.lasting.clone()
    }

    /// What the next window is told: of a long text the end.
    pub(crate) fn next(&self) -> Vec<u32> {
        let text = self.text.as_deref().unwrap_or_default();
        let most = self.room - self.lasting.len();
        [&self.lasting, &text[text.len().saturating_sub(most)..]].concat()
    }

    /// The text goes on with these tokens.
    pub(crate) fn push(&mut self, tokens: &[u32]) {
        if let Some(text) = &mut self.text {
            text.extend(tokens);
            text.drain(..text.len().saturating_sub(self.room));
        }
    }

    /// The text so far is nothing to go by: it was drawn by chance, or is missing something.
    pub(crate) fn forget(&mut self) {
        self.text.iter_mut().for_each(Vec::clear);
    }
}
