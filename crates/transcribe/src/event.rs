//! The events of a running transcription.

use crate::{Language, Segment, WindowCheckpoint};

/// An event of a running transcription, sent as soon as it happens.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The language was detected. Sent before the first segment, and not at all if the language was given.
    Language {
        /// The most probable language.
        language: Language,
        /// Its probability, 0 to 1.
        probability: f32,
    },
    /// A segment was found. Segments are sent in order of time and do not change afterwards.
    Segment(&'a Segment),
    /// A window is done, and its segments were sent. [`Transcriber::resume`](crate::Transcriber::resume) takes these
    /// checkpoints.
    Checkpoint(&'a WindowCheckpoint),
    /// How far the work is. Sent before every window.
    Progress {
        /// Seconds of the recording that are transcribed.
        done: f64,
        /// The duration in seconds that the file declares, if it does; it may be wrong.
        total: Option<f64>,
    },
    /// A problem that does not stop the transcription.
    Warning(&'a str),
}
