//! The result of a transcription.

use serde::{Deserialize, Serialize};

use crate::{Language, Task};

/// The text of a recording, with times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// Whether the text is in the spoken language or translated to English.
    pub task: Task,
    /// The spoken language, given or detected. None if it should have been detected but the recording has no speech.
    pub language: Option<Language>,
    /// Seconds of the recording that were transcribed: all of them if the transcript is complete.
    pub duration: f64,
    /// The segments in order of time.
    pub segments: Vec<Segment>,
    /// The name of the model.
    pub model: String,
    /// The time that each stage took.
    pub timings: Timings,
    /// Problems with the recording, as messages for people.
    pub warnings: Vec<String>,
    /// Whether the whole recording was transcribed, and if not, why.
    pub ending: Ending,
}

impl Transcript {
    /// The whole text.
    pub fn text(&self) -> String {
        self.segments.iter().map(|segment| segment.text.as_str()).collect::<String>().trim().to_owned()
    }

    /// Whether the whole recording was transcribed.
    pub fn is_complete(&self) -> bool {
        self.ending == Ending::Complete
    }
}

/// How a transcription ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The whole recording was transcribed.
    Complete,
    /// The event callback cancelled it before the end.
    Cancelled,
    /// The rest of the recording could not be read or decoded. Holds the error message.
    Failed(String),
}

/// A piece of the transcript with start and end, usually a sentence or a part of one.
///
/// Serialises to a segment of `OpenAI`'s `verbose_json` with additional fields. `temperature`, `avg_logprob`,
/// `compression_ratio` and `no_speech_prob` are values of the whole window that the segment was decoded in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// The index of the segment, from 0.
    pub id: usize,
    /// The start of its window, in frames of 10 ms.
    pub seek: usize,
    /// Start in seconds.
    pub start: f64,
    /// End in seconds; not before `start` and not after the end of the recording.
    pub end: f64,
    /// The text as decoded; most often it begins with a space.
    pub text: String,
    /// The tokens of the segment, including timestamp tokens.
    pub tokens: Vec<u32>,
    /// The log-probability of each text token. Empty unless word timestamps were requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_logprobs: Vec<f32>,
    /// The temperature of the accepted decode; 0 means no sampling.
    pub temperature: f32,
    /// Mean log-probability of the tokens.
    pub avg_logprob: f32,
    /// Size of the text divided by its zlib-compressed size. High values mean repetition.
    pub compression_ratio: f32,
    /// Probability of no speech.
    pub no_speech_prob: f32,
    /// The language of its window, if the language is detected for each window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Reasons to doubt the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    /// The words with times. Empty unless word timestamps were requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<Word>,
}

/// A reason to doubt the text of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Flag {
    /// The decoder repeated a phrase many times; all but the first were removed.
    Repetition,
    /// The mean log-probability of the text is below the threshold.
    LowConfidence,
}

/// A word with its times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// The word as decoded, with punctuation; most often it begins with a space.
    pub word: String,
    /// Start in seconds; not before the start of the segment.
    pub start: f64,
    /// End in seconds; not after the end of the segment.
    pub end: f64,
    /// Mean probability of its tokens.
    pub probability: f32,
}

impl Segment {
    /// The text, trimmed and without line breaks.
    pub fn line(&self) -> String {
        on_one_line(&self.text).trim().to_owned()
    }
}

/// The text with control characters and line breaks replaced by spaces.
pub(crate) fn on_one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'), " ")
}

/// Seconds spent in each stage of a transcription. If it was resumed, only the time since then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Decoding the audio file, mixing to mono and resampling to 16 kHz.
    pub audio_decode: f64,
    /// Voice activity detection.
    pub vad: f64,
    /// Computing log-mel spectrograms.
    pub mel: f64,
    /// The encoder of the model.
    pub encode: f64,
    /// The decoder of the model, including language detection.
    pub decode: f64,
    /// Wall-clock time from the first sample to the last segment, without loading the model.
    pub total: f64,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A segment with fixed values for everything else.
    pub(crate) fn segment(id: usize, start: f64, end: f64, text: &str) -> Segment {
        Segment {
            id,
            seek: 0,
            start,
            end,
            text: text.to_owned(),
            tokens: vec![50364, 11, 50464],
            token_logprobs: Vec::new(),
            temperature: 0.0,
            avg_logprob: -0.25,
            compression_ratio: 1.5,
            no_speech_prob: 0.125,
            language: None,
            flags: Vec::new(),
            words: Vec::new(),
        }
    }

    /// A complete English transcript with these segments.
    pub(crate) fn transcript(segments: Vec<Segment>) -> Transcript {
        Transcript {
            task: Task::Transcribe,
            language: Some(Language::ENGLISH),
            duration: segments.last().map_or(0.0, |segment| segment.end),
            segments,
            model: "base".to_owned(),
            timings: Timings { audio_decode: 0.5, vad: 0.125, mel: 0.25, encode: 1.0, decode: 2.0, total: 4.0 },
            warnings: Vec::new(),
            ending: Ending::Complete,
        }
    }

    #[test]
    fn the_text_is_all_segments_joined_without_added_spaces() {
        let segments = vec![segment(0, 0.0, 1.0, " One,"), segment(1, 1.0, 2.0, " two. ")];
        assert_eq!(transcript(segments).text(), "One, two.");
        assert_eq!(transcript(vec![segment(0, 0.0, 1.0, "你"), segment(1, 1.0, 2.0, "好")]).text(), "你好");
        assert_eq!(transcript(Vec::new()).text(), "");
    }

    #[test]
    fn the_line_of_a_segment_has_no_line_breaks() {
        let line = |text| segment(0, 0.0, 1.0, text).line();
        assert_eq!(line(" a\r\nb\u{2028}c\0\u{85}d\t "), "a  b c  d");
        assert_eq!(line("\n\u{0}"), "");
        assert_eq!(line(" 全　角 "), "全　角");
    }
}
