//! The interface between a pipeline and the model. Tests use a scripted model.

use std::ops::Range;

use amanuensis_engine::{DecodeOptions, EncoderOutput, Engine, Error as EngineError, Frames};

use crate::words::{Listened, Spoken, Stretch, words_of};
use crate::{Language, Task};

/// Properties of a model, its tokenizer, and word alignment.
pub(crate) trait Model {
    fn is_multilingual(&self) -> bool;
    /// Whether the model has a token for the language with this code.
    fn knows_language(&self, code: &str) -> bool;

    /// Length of a full window.
    fn n_frames(&self) -> Frames;

    /// Length of the spectrogram for a window of which `content` is part of the recording. A model may need less padding
    /// than a full window has.
    fn window_frames(&self, content: Frames) -> Frames;

    /// The maximum number of prompt tokens.
    fn max_prompt_tokens(&self) -> usize;
    /// The tokens of a text.
    fn encode(&self, text: &str) -> Vec<u32>;
    /// The text of tokens, without timestamps.
    fn text(&self, tokens: &[u32]) -> String;
    /// The time of a timestamp token, in seconds from the beginning of the window; `None` for other tokens.
    fn timestamp(&self, token: u32) -> Option<f64>;

    /// Aligns the text of a window with its audio. `stretches` are the segments of the window, each with its frames and
    /// tokens; `before` is the end of the segment before them, in frames of the recording.
    fn words(
        &self,
        window: &EncoderOutput,
        language_and_task: (Language, Task),
        stretches: &[(Range<usize>, &[u32])],
        listened: &Listened,
        before: usize,
    ) -> Result<Vec<Spoken>, EngineError>;

    /// The time of a timestamp token, to the nearest frame.
    fn timestamp_frame(&self, token: u32) -> Option<Frames> {
        self.timestamp(token).map(Frames::nearest)
    }

    /// The tokens of a text that is part of a longer one: trimmed, with a space in front. None if it is absent or blank.
    fn encode_phrase(&self, text: Option<&str>) -> Vec<u32> {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        text.map_or_else(Vec::new, |text| self.encode(&format!(" {text}")))
    }
}

impl Model for Engine {
    fn is_multilingual(&self) -> bool {
        self.is_multilingual()
    }

    fn knows_language(&self, code: &str) -> bool {
        self.languages().any(|known| known == code)
    }

    fn n_frames(&self) -> Frames {
        self.n_frames()
    }

    fn window_frames(&self, content: Frames) -> Frames {
        self.window_frames(content)
    }

    fn max_prompt_tokens(&self) -> usize {
        (self.n_text_ctx() / 2).saturating_sub(1)
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        self.vocabulary().encode(text)
    }

    fn text(&self, tokens: &[u32]) -> String {
        self.vocabulary().decode(tokens)
    }

    fn timestamp(&self, token: u32) -> Option<f64> {
        self.vocabulary().timestamp(token)
    }

    fn words(
        &self,
        window: &EncoderOutput,
        (language, task): (Language, Task),
        stretches: &[(Range<usize>, &[u32])],
        listened: &Listened,
        before: usize,
    ) -> Result<Vec<Spoken>, EngineError> {
        let vocabulary = self.vocabulary();
        let code = Some(language.code().to_owned()).filter(|_| self.is_multilingual());
        let options = DecodeOptions { language: code, task, ..DecodeOptions::default() };
        let tokens = stretches.iter().flat_map(|(_, tokens)| tokens.iter().copied());
        let text: Vec<u32> = tokens.filter(|token| vocabulary.is_text(*token)).collect();
        let alignment = self.align(window, &options, &text, listened.frames)?;
        let stretch = |(times, tokens): &(Range<usize>, &[u32])| Stretch::new(times.clone(), tokens, vocabulary);
        let stretches: Vec<Stretch> = stretches.iter().map(stretch).collect();
        let text_language = if task == Task::Translate { Language::ENGLISH } else { language };
        Ok(words_of(&stretches, &alignment, text_language.code(), listened, before))
    }
}
