//! Live transcription of a stream of speech.
//!
//! 1. `utterance_detector` splits the stream into utterances: speech from one pause to the next.
//! 2. `utterance` holds the audio of the current utterance and decodes it again and again while it grows.
//!    `stream_decoder` does the decoding, and `word_tokens` divides the tokens of a hypothesis among its words.
//! 3. `local_agreement` commits the words that two successive hypotheses agree on. Committed words never change; the
//!    words after them are provisional.
//!
//! [`LiveTranscriber`] connects the three and reports [`LiveEvent`]s.

mod event;
mod live_transcriber;
mod local_agreement;
mod options;
mod stream_decoder;
mod utterance;
mod utterance_detector;
mod word_tokens;

pub use event::LiveEvent;
pub use live_transcriber::LiveTranscriber;
pub use options::UtteranceOptions;
