//! The result of a transcription.

use serde::{Deserialize, Serialize};

use crate::{Language, Task};

/// The text of a recording as segments with times, and how the transcription went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// Whether the text is in the spoken language or translated to English.
    pub task: Task,
    /// The spoken language, given or detected. `None` if no language was given and the recording has no speech.
    pub language: Option<Language>,
    /// The number of seconds of the recording that were transcribed. If the transcript is complete, this is the
    /// duration of the recording.
    pub duration: f64,
    /// The segments, ordered by time.
    pub segments: Vec<Segment>,
    /// The name of the model.
    pub model: String,
    /// The time that each stage of the transcription took.
    pub timings: Timings,
    /// Problems with the recording, as human-readable messages.
    pub warnings: Vec<String>,
    /// Whether the whole recording was transcribed, and if not, why.
    pub ending: Ending,
}

impl Transcript {
    /// The text of all segments, joined and without leading and trailing spaces.
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
    /// The event callback cancelled the transcription before the end.
    Cancelled,
    /// The rest of the recording could not be read or decoded. Holds the error message.
    Failed(String),
}

/// A part of the transcript with a start and an end, usually a sentence or a part of a sentence.
///
/// Serialises to a segment of `OpenAI`'s `verbose_json` with additional fields. The values of `temperature`,
/// `avg_logprob`, `compression_ratio` and `no_speech_prob` apply to the whole window in which the segment was
/// decoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// The index of the segment, from 0.
    pub id: usize,
    /// The start of the window in which the segment was decoded, in frames of 10 ms from the beginning of the
    /// recording.
    pub seek: usize,
    /// Start in seconds from the beginning of the recording.
    pub start: f64,
    /// End in seconds; not before `start` and not after the end of the recording.
    pub end: f64,
    /// The text as decoded; it usually begins with a space.
    pub text: String,
    /// The tokens of the segment, including timestamp tokens.
    pub tokens: Vec<u32>,
    /// The log-probability of each text token. Empty unless word timestamps were requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_logprobs: Vec<f32>,
    /// The temperature of the accepted decode; 0 means no sampling.
    pub temperature: f32,
    /// Mean log-probability of the tokens of the window.
    pub avg_logprob: f32,
    /// The size of the text divided by the size of the text after zlib compression. A high value means that the text
    /// repeats itself.
    pub compression_ratio: f32,
    /// Probability that the window contains no speech.
    pub no_speech_prob: f32,
    /// The language of the window, if the language is detected for each window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Reasons why the text may be wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    /// The words with times. Empty unless word timestamps were requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<Word>,
}

/// A reason why the text of a segment may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Flag {
    /// The decoder repeated a phrase many times. Only the first occurrence of the phrase was kept.
    Repetition,
    /// The mean log-probability of the hypothesis is below the threshold.
    LowConfidence,
}

/// A word with its times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// The word as decoded, with punctuation; it usually begins with a space.
    pub word: String,
    /// Start in seconds; not before the start of the segment.
    pub start: f64,
    /// End in seconds; not after the end of the segment.
    pub end: f64,
    /// Mean probability of the tokens of the word.
    pub probability: f32,
}

impl Segment {
    /// The text without leading and trailing spaces and without line breaks.
    pub fn line(&self) -> String {
        on_one_line(&self.text).trim().to_owned()
    }
}

/// Replaces control characters and line breaks in `text` by spaces.
pub(crate) fn on_one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'), " ")
}

/// The time in seconds that each stage of a transcription took. If the transcription was resumed, only the time since
/// then counts.
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
    /// Wall-clock time from the first sample to the last segment. Loading the model is not included.
    pub total: f64,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A segment with the given values. All other fields have fixed values.
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
    fn the_text_is_the_concatenation_of_all_segments() {
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
