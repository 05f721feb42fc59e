//! What a live transcription reports.

use crate::{Language, Word};

/// An event of a live transcription. Times are seconds from the start of the stream.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum LiveEvent<'a> {
    /// Speech began.
    UtteranceStarted {
        /// Start of the utterance, which includes the padding before the speech.
        start: f64,
    },
    /// The utterance was decoded once more.
    Words {
        /// Newly committed words. They never change.
        committed: &'a [Word],
        /// The words after them. Each event of this kind replaces those of the one before.
        provisional: &'a [Word],
    },
    /// A pause ended the utterance. Its last words follow.
    UtteranceEnded {
        /// End of the utterance, which includes the pause.
        end: f64,
    },
    /// All words of the utterance are committed.
    UtteranceTranscribed {
        /// All words of the utterance. Joined, they are its text.
        words: &'a [Word],
        /// The language, given or detected. None if there are no words.
        language: Option<Language>,
    },
}
