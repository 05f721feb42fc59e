//! What is known of a window once it was read: what a transcription that was broken off goes on from.

use serde::{Deserialize, Serialize};

use crate::{Language, Segment};

/// A window that was read, and all that the windows behind it depend on.
///
/// Those of a recording's beginning, in order, are where [`Transcriber::resume`](crate::Transcriber::resume) goes on. They
/// can be kept as JSON, if its reader gives numbers back as they were written (`float_roundtrip` of `serde_json`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowCheckpoint {
    /// Where it begins, in frames of 10 ms.
    pub start: usize,
    /// Where it ends as far as it is read, in frames: the next one begins there or later.
    pub end: usize,
    /// The segments found in it, in order of time.
    pub segments: Vec<Segment>,
    /// The language of the recording, if this window decided it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Whether the text before this window is nothing for the next one to go by.
    #[serde(default, alias = "forgets")]
    pub resets_prompt: bool,
    /// What was odd about it, for people to read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
