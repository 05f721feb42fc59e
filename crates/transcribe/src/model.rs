//! The interface through which the transcription of a recording or live stream uses the model. In tests, a scripted
//! model implements it.

use std::ops::Range;

use amanuensis_engine::{DecodeOptions, EncoderOutput, Engine, Error as EngineError, Frames};

use crate::words::{SegmentTokens, SegmentWords, SilenceMap, time_words};
use crate::{Language, Task};

/// A transcription model: its properties, its tokenizer, and the alignment of words with audio.
pub(crate) trait Model {
    fn is_multilingual(&self) -> bool;
    /// Whether the model has a token for the language with this code.
    fn knows_language(&self, code: &str) -> bool;

    /// The number of spectrogram frames (10 ms each) in a full window.
    fn n_frames(&self) -> Frames;

    /// The number of spectrogram frames that the encoder needs for a window with `content` frames of the recording.
    /// Some models need less padding than a full window has.
    fn window_frames(&self, content: Frames) -> Frames;

    /// The maximum number of prompt tokens.
    fn max_prompt_tokens(&self) -> usize;
    /// Encodes a text to tokens.
    fn encode(&self, text: &str) -> Vec<u32>;
    /// Decodes tokens to text, leaving out timestamp tokens.
    fn text(&self, tokens: &[u32]) -> String;
    /// The time of a timestamp token, in seconds from the start of the window; `None` for other tokens.
    fn timestamp(&self, token: u32) -> Option<f64>;

    /// Aligns the text of a window with its audio and returns the words of each segment with their times. `segments`
    /// holds, for each segment, its span in the window and its tokens. `previous_end` is the end of the previous
    /// segment, in frames of the recording.
    fn words(
        &self,
        encoder_output: &EncoderOutput,
        language_and_task: (Language, Task),
        segments: &[(Range<Frames>, &[u32])],
        silence_map: &SilenceMap,
        previous_end: Frames,
    ) -> Result<Vec<SegmentWords>, EngineError>;

    /// The time of a timestamp token, rounded to the nearest frame; `None` for other tokens.
    fn timestamp_frame(&self, token: u32) -> Option<Frames> {
        self.timestamp(token).map(Frames::nearest)
    }

    /// Encodes a phrase that is part of a longer text: trims the phrase and puts a space in front. The result is
    /// empty if the text is absent or blank.
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
        encoder_output: &EncoderOutput,
        (language, task): (Language, Task),
        segments: &[(Range<Frames>, &[u32])],
        silence_map: &SilenceMap,
        previous_end: Frames,
    ) -> Result<Vec<SegmentWords>, EngineError> {
        let vocabulary = self.vocabulary();
        let code = Some(language.code().to_owned()).filter(|_| self.is_multilingual());
        let options = DecodeOptions { language: code, task, ..DecodeOptions::default() };
        let tokens = segments.iter().flat_map(|(_, tokens)| tokens.iter().copied());
        let text: Vec<u32> = tokens.filter(|token| vocabulary.is_text(*token)).collect();
        let alignment = self.align(encoder_output, &options, &text, silence_map.n_frames.0)?;
        let segments: Vec<SegmentTokens> =
            segments.iter().map(|(span, tokens)| SegmentTokens::new(span.clone(), tokens, vocabulary)).collect();
        let text_language = if task == Task::Translate { Language::ENGLISH } else { language };
        Ok(time_words(&segments, &alignment, text_language.code(), silence_map, previous_end))
    }
}
