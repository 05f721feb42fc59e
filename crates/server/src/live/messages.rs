//! The messages between a client and its live session.

use std::sync::Arc;

use amanuensis_transcribe::{Language, RawFormat, TranscribeOptions, Transcriber, UtteranceOptions, Word};

/// The settings of a session.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// The model that transcribes the audio.
    pub transcriber: Arc<Transcriber>,
    /// The transcription options.
    pub options: TranscribeOptions,
    /// How utterances are detected. `None` if the client commits utterances itself.
    pub utterances: Option<UtteranceOptions>,
    /// The sample format of the audio.
    pub format: RawFormat,
    /// The sample rate of the audio, in Hz.
    pub rate: u32,
}

/// A command to a session.
#[derive(Debug)]
pub enum Command {
    /// Audio that follows the previous audio.
    Bytes(Vec<u8>),
    /// Ends the current utterance.
    Commit,
    /// Discards the audio that has not been committed.
    Clear,
    /// Ends the current utterance and changes the settings.
    Configure(Box<SessionSettings>),
    /// Ends the current utterance. The session ends when this utterance has been transcribed.
    End,
}

/// An event of a session. Utterances are numbered from 1. Times are in seconds since the start of the session.
#[derive(Debug, PartialEq)]
pub enum SessionEvent {
    /// Speech has started.
    SpeechStarted { utterance: u64, at: f64 },
    /// Speech has stopped.
    SpeechStopped { utterance: u64, at: f64 },
    /// The audio of an utterance is complete. More text of the utterance may follow.
    Committed { utterance: u64 },
    /// Final text of an utterance, which continues its previous deltas.
    Delta { utterance: u64, text: String, words: Vec<Word> },
    /// Text that may still change. It continues the deltas, and replaces the previous provisional text.
    Provisional { utterance: u64, text: String },
    /// The whole text of an utterance. `seconds` is the duration of its audio.
    Completed { utterance: u64, text: String, words: Vec<Word>, seconds: f64, language: Option<Language> },
    /// The transcription of an utterance has failed.
    Failed { utterance: u64, reason: String },
    /// A commit had no effect, because there was too little audio or no speech.
    NothingToCommit,
    /// The audio that had not been committed was discarded.
    Cleared,
    /// The buffer for audio that has not been committed is full. Further audio is discarded.
    BufferFull,
}
