//! The messages between a client and its live session.

use std::sync::Arc;

use amanuensis_transcribe::{Language, RawFormat, TranscribeOptions, Transcriber, UtteranceOptions, Word};

/// The settings of a live session.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// The model that transcribes the audio.
    pub transcriber: Arc<Transcriber>,
    /// The options for transcribing the audio.
    pub options: TranscribeOptions,
    /// How utterances are detected. `None` if the client commits utterances itself.
    pub utterances: Option<UtteranceOptions>,
    /// The sample format of the audio.
    pub format: RawFormat,
    /// The sample rate of the audio, in Hz.
    pub rate: u32,
}

/// A command from the client to its session.
#[derive(Debug)]
pub enum Command {
    /// Bytes of audio, which continue the previous audio.
    Bytes(Vec<u8>),
    /// Ends the current utterance. In a session that does not detect utterances, all audio in the buffer is one
    /// utterance.
    Commit,
    /// Discards the audio that does not belong to a finished utterance yet.
    Clear,
    /// Changes the settings. If the session detects utterances, its current utterance ends first. Otherwise the audio
    /// in the buffer is kept.
    Configure(Box<SessionSettings>),
    /// Ends the current utterance. The session ends when this utterance has been transcribed.
    End,
}

/// An event from a session to its client. Utterances are numbered from 1. Times are in seconds since the start of the
/// session.
#[derive(Debug, PartialEq)]
pub enum SessionEvent {
    /// An utterance has started at the time `at`.
    SpeechStarted { utterance: u64, at: f64 },
    /// The speech of an utterance has stopped at the time `at`.
    SpeechStopped { utterance: u64, at: f64 },
    /// All audio of an utterance has been received. More of its text may follow.
    Committed { utterance: u64 },
    /// Final text of an utterance. It continues the text in the previous `Delta` events of this utterance.
    Delta { utterance: u64, text: String, words: Vec<Word> },
    /// Text that may still change. It continues the text in the `Delta` events, and replaces the previous provisional
    /// text.
    Provisional { utterance: u64, text: String },
    /// The whole text of an utterance that is complete. `seconds` is the duration of its audio.
    Completed { utterance: u64, text: String, words: Vec<Word>, seconds: f64, language: Option<Language> },
    /// The transcription of an utterance has failed.
    Failed { utterance: u64, reason: String },
    /// A commit command had no effect, because there was too little audio or no speech.
    NothingToCommit,
    /// A clear command has discarded the audio that had not been committed.
    Cleared,
    /// The buffer for audio that has not been committed is full. Further audio is discarded.
    BufferFull,
}
