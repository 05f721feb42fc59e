//! The segments of a window, before and after word times are computed.

use std::ops::Range;

use amanuensis_engine::{Frames, Vocabulary};

use crate::Word;

/// The tokens of one segment of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentTokens {
    /// The start and end timestamps of the segment, counted from the start of the window.
    pub(crate) span: Range<Frames>,
    /// The bytes of each text token.
    pub(crate) tokens: Vec<Vec<u8>>,
}

impl SegmentTokens {
    /// Creates the segment from `tokens`. Only text tokens are kept.
    pub(crate) fn new(span: Range<Frames>, tokens: &[u32], vocabulary: &Vocabulary) -> Self {
        let bytes = |token: &u32| {
            let mut bytes = Vec::new();
            vocabulary.extend_bytes(*token, &mut bytes);
            bytes
        };
        Self { span, tokens: tokens.iter().filter(|token| vocabulary.is_text(**token)).map(bytes).collect() }
    }
}

/// The timed words of one segment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SegmentWords {
    /// The range from the start of the first word to the end of the last word, counted from the start of the window.
    pub(crate) span: Range<Frames>,
    /// The words of the segment. Their times are seconds from the start of the recording.
    pub(crate) words: Vec<Word>,
    /// The log-probability of each text token.
    pub(crate) logprobs: Vec<f32>,
}
