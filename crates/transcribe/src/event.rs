//! The events of a running transcription.

use crate::{Language, Segment, WindowCheckpoint};

/// An event of a running transcription, sent as soon as it happens.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The language was detected. Sent before the first segment. Not sent if the language was given.
    Language {
        /// The most probable language.
        language: Language,
        /// Probability of this language, 0 to 1.
        probability: f32,
    },
    /// A segment was transcribed. Segments are sent in order of time, and a segment does not change after it was
    /// sent.
    Segment(&'a Segment),
    /// A window is finished, and its segments were sent. To resume after an interruption, pass all checkpoints to
    /// [`Transcriber::resume`](crate::Transcriber::resume).
    Checkpoint(&'a WindowCheckpoint),
    /// The progress of the transcription. Sent before every window.
    Progress {
        /// Seconds of the recording that were transcribed so far.
        done: f64,
        /// The duration of the recording in seconds as declared by the file, which may be wrong. `None` if the file
        /// declares no duration.
        total: Option<f64>,
    },
    /// A problem that does not stop the transcription.
    Warning(&'a str),
}
