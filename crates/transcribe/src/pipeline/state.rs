//! The state of a transcription: everything that affects how the next window is decoded, apart from the samples of
//! the window. A checkpoint restores exactly this state.

use amanuensis_engine::Frames;

use crate::decoding::Prompt;
use crate::model::Model;
use crate::{Language, TranscribeOptions, WindowCheckpoint};

/// The state between two windows. If two transcriptions have equal states, and their recordings are equal from
/// [`Self::position`] on, the rest of their transcripts is equal, too.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    /// The language that was given or detected, or English for an English-only model. `None` if it was not detected
    /// yet.
    language: Option<Language>,
    prompt: Prompt,
    /// Tokens with which the first window with text must begin; empty after that window.
    prefix: Vec<u32>,
    /// The position up to which the recording is transcribed.
    position: Frames,
    /// The end of the most recent segment.
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

    /// Updates the state after a window, which was decoded just now or in an earlier run.
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

    /// The state for decoding a part of a window again. `window` holds the results of the window so far. The segments
    /// in `window` are not added to the prompt, because they may come after that part.
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
