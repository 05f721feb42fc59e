//! What a transcription yields.

use serde::{Deserialize, Serialize};

use crate::{Language, Task};

/// A recording's text, with times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// Whether the text is in the language spoken, or translated to English.
    pub task: Task,
    /// The language spoken: the one asked for, or the one detected. None where it was to be detected and the recording
    /// holds nothing to detect it by.
    pub language: Option<Language>,
    /// Seconds of the recording that were transcribed; all of it if the transcript is complete.
    pub duration: f64,
    /// The segments, in order of time.
    pub segments: Vec<Segment>,
    /// The name of the model.
    pub model: String,
    /// Where the time went.
    pub timings: Timings,
    /// What was odd about the recording, for people to read.
    pub warnings: Vec<String>,
    /// Whether the whole recording was transcribed, and why not.
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
    /// At the end of the recording.
    Complete,
    /// Early, because the caller asked for it.
    Cancelled,
    /// Early, because the rest could not be read or decoded, for this reason.
    Failed(String),
}

/// A stretch of speech: what was said between two times.
///
/// Serialises to a segment of `OpenAI`'s `verbose_json`, with what else there is. The last four values are those of the 30 s window that the
/// segment was found in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Its position among the segments, from 0.
    pub id: usize,
    /// Where the window begins, in frames of 10 ms.
    pub seek: usize,
    /// Where the segment begins, in seconds.
    pub start: f64,
    /// Where the segment ends, in seconds; not before `start` and not after the recording.
    pub end: f64,
    /// The text as decoded, most often with a space in front.
    pub text: String,
    /// The tokens of the segment, timestamps included.
    pub tokens: Vec<u32>,
    /// The logarithm of the probability of each of the tokens that are text, where the times of words were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_logprobs: Vec<f32>,
    /// The temperature it was sampled at; 0 is greedy.
    pub temperature: f32,
    /// Mean logarithm of the probability of a token.
    pub avg_logprob: f32,
    /// Bytes of text to bytes of the text compressed: high where the model repeats itself.
    pub compression_ratio: f32,
    /// Probability that nobody speaks.
    pub no_speech_prob: f32,
    /// The language of its window, where every window's was detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// What is suspicious about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    /// The words, where their times were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<Word>,
}

/// What may be wrong with a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Flag {
    /// The text repeated itself over and over; it is given once.
    Repetition,
    /// The model holds its own text for improbable.
    LowConfidence,
}

/// A word and when it is spoken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// The word as decoded, most often with a space in front, punctuation included.
    pub word: String,
    /// Where it begins, in seconds; not before the segment.
    pub start: f64,
    /// Where it ends, in seconds; not after the segment.
    pub end: f64,
    /// Mean probability of its tokens.
    pub probability: f32,
}

impl Segment {
    /// The text trimmed, and on one line whatever it holds.
    pub fn line(&self) -> String {
        on_one_line(&self.text).trim().to_owned()
    }
}

/// The text with a space for everything that would end a line.
pub(crate) fn on_one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'), " ")
}

/// Seconds spent in each part of the work; of one that was resumed, since then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Reading the recording: decoding its codec, mixing to mono and resampling to 16 kHz.
    pub audio_decode: f64,
    /// Listening for speech.
    pub vad: f64,
    /// Computing log-mel spectrograms.
    pub mel: f64,
    /// The model's encoder.
    pub encode: f64,
    /// The model's decoder, language detection included.
    pub decode: f64,
    /// All of it, from the first sample to the last segment, model loading excluded.
    pub total: f64,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A segment with plain values where they do not matter.
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

    /// A complete English transcript of these segments.
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
    fn text_joins_segments_as_they_were_decoded() {
        let segments = vec![segment(0, 0.0, 1.0, " One,"), segment(1, 1.0, 2.0, " two. ")];
        assert_eq!(transcript(segments).text(), "One, two.");
        assert_eq!(transcript(vec![segment(0, 0.0, 1.0, "你"), segment(1, 1.0, 2.0, "好")]).text(), "你好");
        assert_eq!(transcript(Vec::new()).text(), "");
    }

    #[test]
    fn a_line_is_one_line() {
        let line = |text| segment(0, 0.0, 1.0, text).line();
        assert_eq!(line(" a\r\nb\u{2028}c\0\u{85}d\t "), "a  b c  d");
        assert_eq!(line("\n\u{0}"), "");
        assert_eq!(line(" 全　角 "), "全　角");
    }
}
