//! The data needed to resume an interrupted transcription.

use serde::{Deserialize, Serialize};

use crate::{Language, Segment};

/// The result of one window, with everything that the decoding of later windows depends on.
///
/// [`Transcriber::resume`](crate::Transcriber::resume) takes the checkpoints of all windows from the beginning of the
/// recording up to some point, in order. They may be stored as JSON, if the JSON reader restores floating-point
/// numbers exactly (feature `float_roundtrip` of `serde_json`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowCheckpoint {
    /// Where the window begins, in frames of 10 ms from the beginning of the recording.
    pub start: usize,
    /// The frame (10 ms each, from the beginning of the recording) at which transcription of this window ended. The
    /// next window begins at this frame or later.
    pub end: usize,
    /// The segments of the window, ordered by time.
    pub segments: Vec<Segment>,
    /// The language of the recording, if it was detected in this window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Whether the prompt of the next window leaves out all text before this window.
    #[serde(default, alias = "forgets")]
    pub resets_prompt: bool,
    /// The warnings about this window, as human-readable messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_with_the_former_field_name_can_be_read() {
        let stored = r#"{"start": 0, "end": 2796, "segments": [{"id": 0, "seek": 0, "start": 0.0, "end": 4.54,
            "text": " Ask not.", "tokens": [50364, 11, 50591], "temperature": 0.2, "avg_logprob": -0.25,
            "compression_ratio": 1.5, "no_speech_prob": 0.125}], "language": "english", "forgets": true}"#;
        let checkpoint: WindowCheckpoint = serde_json::from_str(stored).unwrap();
        assert_eq!((checkpoint.start, checkpoint.end, checkpoint.resets_prompt), (0, 2796, true));
        assert_eq!(checkpoint.language, Some(Language::ENGLISH));
        assert_eq!((checkpoint.segments.len(), checkpoint.segments[0].end), (1, 4.54));
        assert_eq!(checkpoint.warnings, Vec::<String>::new());
    }
}
