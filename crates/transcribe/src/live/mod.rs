//! Live transcription of a stream of speech.
//!
//! 1. `utterance_detector` splits the stream into utterances: speech from one pause to the next.
//! 2. `utterance` holds the audio of the current utterance and decodes it repeatedly while it grows.
//!    `stream_decoder` does the decoding, and `word_tokens` assigns the tokens of a hypothesis to its words.
//! 3. `local_agreement` commits the words on which two successive hypotheses agree. Committed words never change. The
//!    words after the committed words are provisional.
//!
//! [`LiveTranscriber`] connects these modules and reports [`LiveEvent`]s.

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
