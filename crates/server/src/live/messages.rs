//! The messages between a live session and its client.

use std::sync::Arc;

use amanuensis_transcribe::{Language, RawFormat, TranscribeOptions, Transcriber, UtteranceOptions, Word};

/// The settings of a session.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// The model.
    pub transcriber: Arc<Transcriber>,
    /// The transcription options.
    pub options: TranscribeOptions,
    /// How utterances are detected; `None` if the client commits them.
    pub utterances: Option<UtteranceOptions>,
    /// The sample format of the audio.
    pub format: RawFormat,
    /// The sample rate of the audio, in Hz.
    pub rate: u32,
}

/// A command to a session.
#[derive(Debug)]
pub enum Command {
    /// More audio.
    Bytes(Vec<u8>),
    /// Ends the utterance here.
    Commit,
    /// Discards the audio that is not committed.
    Clear,
    /// Ends the utterance here and changes the settings.
    Configure(Box<SessionSettings>),
    /// Ends the utterance here, and the session once it is transcribed.
    End,
}

/// An event of a session. Utterances are numbered from 1. Times are in seconds from the start of the session.
#[derive(Debug, PartialEq)]
pub enum SessionEvent {
    /// Speech has started.
    SpeechStarted { utterance: u64, at: f64 },
    /// Speech has stopped.
    SpeechStopped { utterance: u64, at: f64 },
    /// The audio of an utterance is complete. The rest of its text follows.
    Committed { utterance: u64 },
    /// More final text of an utterance.
    Delta { utterance: u64, text: String, words: Vec<Word> },
    /// Text that may still change. It continues the deltas so far and replaces the previous provisional text.
    Provisional { utterance: u64, text: String },
    /// The whole text of an utterance. `seconds` is the duration of its audio.
    Completed { utterance: u64, text: String, words: Vec<Word>, seconds: f64, language: Option<Language> },
    /// The transcription of an utterance has failed.
    Failed { utterance: u64, reason: String },
    /// A commit had no effect: there was too little audio, or no speech.
    NothingToCommit,
    /// The audio that was not committed is discarded.
    Cleared,
    /// The buffer of audio that is not committed is full. Further audio is discarded.
    BufferFull,
}
