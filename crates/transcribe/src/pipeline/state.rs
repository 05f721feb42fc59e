//! What the decoding of a window depends on besides its samples. A checkpoint restores exactly this.

use amanuensis_engine::Frames;

use crate::decoding::Prompt;
use crate::model::Model;
use crate::{Language, TranscribeOptions, WindowCheckpoint};

/// The state between two windows. Equal states, and equal recordings from [`Self::position`] on, give equal transcripts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    /// The language that was given or detected, or English for an English-only model. `None` if it is still to be detected.
    language: Option<Language>,
    prompt: Prompt,
    /// What the first text has to begin with; empty after that text.
    prefix: Vec<u32>,
    /// How much of the recording is transcribed.
    position: Frames,
    /// Where the last segment ends.
    last_segment_end: Frames,
}

impl State {
    /// The state at the beginning of a recording.
    pub(super) fn new(model: &impl Model, options: &TranscribeOptions) -> Self {
        Self {
            language: if model.is_multilingual() { options.language } else { Some(Language::ENGLISH) },
            prompt: Prompt::new(model, options),
            prefix: model.encode_phrase(options.prefix.as_deref()),
            position: Frames::ZERO,
            last_segment_end: Frames::ZERO,
        }
    }

    /// Moves on to the state after a window, which was decoded just now or in an earlier run.
    pub(super) fn advance(&mut self, window: &WindowCheckpoint) {
        *self = self.within(window);
        for segment in &window.segments {
            self.prompt.append(&segment.tokens);
        }
        if let Some(last) = window.segments.last() {
            self.last_segment_end = Frames::nearest(last.end);
        }
        self.position = Frames(window.end);
    }

    /// The state for decoding a part of a window again, given what is known of the window so far. Its segments are not in the
    /// prompt, because they may come after that part.
    pub(super) fn within(&self, window: &WindowCheckpoint) -> Self {
        let mut state = self.clone();
        state.language = state.language.or(window.language);
        if window.resets_prompt {
            state.prompt.reset();
        }
        if !window.segments.is_empty() {
            state.prefix.clear();
        }
        state
    }

    pub(super) fn language(&self) -> Option<Language> {
        self.language
    }

    pub(super) fn prompt(&self) -> &Prompt {
        &self.prompt
    }

    pub(super) fn prefix(&self) -> &[u32] {
        &self.prefix
    }

    pub(super) fn position(&self) -> Frames {
        self.position
    }

    pub(super) fn last_segment_end(&self) -> Frames {
        self.last_segment_end
    }
}
