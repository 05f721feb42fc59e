//! The events of a live transcription.

use crate::{Language, Word};

/// An event of a live transcription. Times are seconds from the start of the stream.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum LiveEvent<'a> {
    /// Speech began.
    UtteranceStarted {
        /// Start of the utterance in seconds. The utterance starts a little before the detected speech, by the
        /// padding of the options.
        start: f64,
    },
    /// The current utterance was decoded again, so there are new words.
    Words {
        /// The words that this decode newly committed. Committed words never change.
        committed: &'a [Word],
        /// The words after the committed words, which may still change. They replace the provisional words of the
        /// previous event.
        provisional: &'a [Word],
    },
    /// A pause ended the utterance. Further events with the final words of this utterance follow.
    UtteranceEnded {
        /// End of the utterance. This includes the pause after the speech.
        end: f64,
    },
    /// The utterance is finished: all of its words are committed.
    UtteranceTranscribed {
        /// All words of the utterance. Joined without separators, they are the text of the utterance.
        words: &'a [Word],
        /// The language, given or detected. `None` if there are no words.
        language: Option<Language>,
    },
}
