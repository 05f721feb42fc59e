//! What long-form transcription asks of a model, so that it can be tested with a scripted one.

use std::ops::Range;

use amanuensis_engine::{DecodeOptions, EncoderOutput, Engine, Error as EngineError, Frames};

use crate::scheduler::{Answer, Caller, Failure, Request, Ticket};
use crate::words::{SegmentTokens, SegmentWords, SilenceMap, time_words};
use crate::{Language, Task};

/// Facts about a model, and the texts of its tokens.
pub(crate) trait Model {
    fn is_multilingual(&self) -> bool;
    fn knows_language(&self, code: &str) -> bool;

    /// Mel frames of a window, 10 ms each.
    fn n_frames(&self) -> usize;

    /// Frames that a window needs of which these many are of the recording.
    fn window_frames(&self, frames: usize) -> usize;

    /// Tokens of context that a window may be given.
    fn context_tokens(&self) -> usize;
    /// The tokens of a text.
    fn encode(&self, text: &str) -> Vec<u32>;
    /// The text of tokens, timestamps left out.
    fn text(&self, tokens: &[u32]) -> String;
    /// The time a token stands for, in seconds from the start of its window.
    fn timestamp(&self, token: u32) -> Option<f64>;

    /// The words of a window's stretches, each with its frames and tokens; `before` is the end of the segment before, in
    /// frames of the recording.
    fn words(
        &self,
        window: &EncoderOutput,
        asked: (Language, Task),
        stretches: &[(Range<usize>, &[u32])],
        listened: &SilenceMap,
        before: usize,
    ) -> Result<Vec<SegmentWords>, EngineError>;
}

/// What reads windows, several at a time.
pub(crate) trait Reader {
    /// A window that was handed over.
    type Ticket;

    /// Windows that may be read at once.
    fn places(&self) -> usize;
    fn submit(&self, request: Request) -> Self::Ticket;
    fn wait(&self, ticket: Self::Ticket) -> Result<Answer, Failure>;
}

impl Model for Engine {
    fn is_multilingual(&self) -> bool {
        self.is_multilingual()
    }

    fn knows_language(&self, code: &str) -> bool {
        self.languages().any(|known| known == code)
    }

    fn n_frames(&self) -> usize {
        self.n_frames().0
    }

    fn window_frames(&self, frames: usize) -> usize {
        self.window_frames(Frames(frames)).0
    }

    fn context_tokens(&self) -> usize {
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
        listened: &SilenceMap,
        before: usize,
    ) -> Result<Vec<SegmentWords>, EngineError> {
        let vocabulary = self.vocabulary();
        let code = Some(language.code().to_owned()).filter(|_| self.is_multilingual());
        let options = DecodeOptions { language: code, task, ..DecodeOptions::default() };
        let tokens = stretches.iter().flat_map(|(_, tokens)| tokens.iter().copied());
        let text: Vec<u32> = tokens.filter(|token| vocabulary.is_text(*token)).collect();
        let alignment = self.align(window, &options, &text, listened.n_frames.0)?;
        let stretch = |(times, tokens): &(Range<usize>, &[u32])| SegmentTokens::new(Frames(times.start)..Frames(times.end), tokens, vocabulary);
        let stretches: Vec<SegmentTokens> = stretches.iter().map(stretch).collect();
        let written = if task == Task::Translate { Language::ENGLISH } else { language };
        Ok(time_words(&stretches, &alignment, written.code(), listened, Frames(before)))
    }
}

impl Reader for Caller<'_> {
    type Ticket = Ticket;

    fn places(&self) -> usize {
        self.places()
    }

    fn submit(&self, request: Request) -> Ticket {
        self.submit(request)
    }

    fn wait(&self, ticket: Ticket) -> Result<Answer, Failure> {
        ticket.wait()
    }
}
