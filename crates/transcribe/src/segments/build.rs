//! Builds [`Segment`]s from the spans (tokens with start and end) of a window.

use amanuensis_engine::Frames;

use super::split_at_timestamps::Span;
use crate::decoding::DecodeCheck;
use crate::model::Model;
use crate::{Flag, Language, Segment, Word};

/// The words of a span, and the log-probability of each text token of the span. Both are empty without word
/// timestamps.
pub(crate) type SpanWords = (Vec<Word>, Vec<f32>);

/// Builds the segments of one window.
pub(crate) struct SegmentBuilder<'a, M> {
    pub(crate) model: &'a M,
    /// The hypothesis of the window.
    pub(crate) check: &'a DecodeCheck,
    /// Where the window begins in the recording.
    pub(crate) window_start: Frames,
    /// The language that was detected in this window; `None` unless every window detects its own language.
    pub(crate) language: Option<Language>,
}

impl<M: Model> SegmentBuilder<'_, M> {
    /// Whether a span has both text and a duration. Only such spans become segments.
    pub(crate) fn has_content(&self, span: &Span) -> bool {
        span.start < span.end && !self.model.text(self.tokens(span)).trim().is_empty()
    }

    /// The tokens of a span.
    pub(crate) fn tokens(&self, span: &Span) -> &[u32] {
        &self.check.result.tokens[span.tokens.clone()]
    }

    /// Builds one segment for each span. `words` holds the words of each span; it is empty without word timestamps.
    /// Segment ids stay 0 until the window is committed.
    pub(crate) fn build(&self, spans: &[Span], mut words: Vec<SpanWords>) -> Vec<Segment> {
        words.resize(spans.len(), (Vec::new(), Vec::new()));
        spans.iter().zip(words).map(|(span, words)| self.segment(span, words)).collect()
    }

    fn segment(&self, span: &Span, (words, token_logprobs): SpanWords) -> Segment {
        let DecodeCheck { result, .. } = self.check;
        Segment {
            id: 0,
            seek: self.window_start.0,
            start: (self.window_start + span.start).seconds(),
            end: (self.window_start + span.end).seconds(),
            text: self.model.text(self.tokens(span)),
            tokens: self.tokens(span).to_vec(),
            token_logprobs,
            temperature: result.temperature,
            avg_logprob: result.avg_logprob,
            compression_ratio: self.check.compression_ratio,
            no_speech_prob: result.no_speech_prob,
            language: self.language,
            flags: self.flags(),
            words,
        }
    }

    fn flags(&self) -> Vec<Flag> {
        let flags = [(self.check.is_repetitive, Flag::Repetition), (self.check.is_improbable, Flag::LowConfidence)];
        flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).collect()
    }
}
