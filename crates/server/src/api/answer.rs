//! The bodies of answers, as `OpenAI`'s clients have them.

use std::str::FromStr;

use amanuensis_transcribe::{Language, OutputFormat, Segment, SubtitleOptions, Task, Transcriber, Transcript, Word};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;

/// The header with what was odd about a recording, whatever the form of the answer.
pub const WARNINGS: HeaderName = HeaderName::from_static("x-amanuensis-warnings");

/// `response_format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The text, in an object.
    Json,
    /// The text.
    Text,
    /// `SubRip` subtitles.
    Srt,
    /// The text with times.
    VerboseJson,
    /// `WebVTT` subtitles.
    Vtt,
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "json" => Self::Json,
            "text" => Self::Text,
            "srt" => Self::Srt,
            "verbose_json" => Self::VerboseJson,
            "vtt" => Self::Vtt,
            _ => return Err("the formats are json, text, srt, verbose_json and vtt"),
        })
    }
}

/// What an answer has besides its text.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each can be asked for by itself")]
pub struct Parts {
    pub segments: bool,
    pub words: bool,
    pub logprobs: bool,
    pub languages: bool,
}

/// The body of `json` and `verbose_json`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Json {
    /// The text with times.
    Verbose(Verbose),
    /// The text.
    Plain(Plain),
}

/// The body of `json`.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Plain {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    languages: Option<Vec<Code>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Vec<Logprob>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

/// The body of `verbose_json`.
#[derive(Serialize, ToSchema)]
pub struct Verbose {
    task: &'static str,
    /// The language's English name.
    language: String,
    /// Seconds.
    duration: f64,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<Vec<TimedSegment>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<Vec<TimedWord>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    /// What was odd about the recording, such as that it seems to be cut off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// A stretch of speech. The last four values are those of the 30 s window that it was found in.
#[derive(Serialize, ToSchema)]
pub struct TimedSegment {
    id: usize,
    /// Where the window begins, in frames of 10 ms.
    seek: usize,
    start: f64,
    end: f64,
    text: String,
    tokens: Vec<u32>,
    temperature: f32,
    avg_logprob: f32,
    compression_ratio: f32,
    no_speech_prob: f32,
}

/// A word and when it is spoken, in seconds.
#[derive(Serialize, ToSchema)]
pub struct TimedWord {
    word: String,
    start: f64,
    end: f64,
}

/// A token and the logarithm of its probability.
#[allow(clippy::struct_field_names, reason = "it is called so in the interface")]
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Logprob {
    /// Its text; where that is part of a character, a replacement for it.
    token: String,
    bytes: Vec<u8>,
    logprob: f32,
}

/// A language, by its code.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Code {
    code: &'static str,
}

/// What was transcribed.
#[derive(Serialize, ToSchema)]
pub struct Usage {
    /// `duration`.
    #[serde(rename = "type")]
    kind: &'static str,
    seconds: f64,
}

/// The answer to a request; `transcriber` knows the tokens, where their probabilities are asked for.
pub fn answer(
    transcript: &Transcript,
    format: Format,
    parts: Parts,
    transcriber: Option<&Transcriber>,
) -> Result<Response, ApiError> {
    let subtitles = |name: &str| -> Result<Response, ApiError> {
        let mut bytes = Vec::new();
        let format = name.parse::<OutputFormat>().map_err(|error| ApiError::internal(error.to_string()))?;
        let written = format.write(transcript, &SubtitleOptions::default(), &mut bytes);
        written.map_err(|error| ApiError::internal(error.to_string()))?;
        Ok(plain_text(String::from_utf8_lossy(&bytes).into_owned()))
    };
    let mut response = match format {
        Format::Json => axum::Json(Json::Plain(plain(transcript, parts, transcriber))).into_response(),
        Format::VerboseJson => axum::Json(Json::Verbose(verbose(transcript, parts))).into_response(),
        Format::Text => plain_text(transcript.text() + "\n"),
        Format::Srt => subtitles("srt")?,
        Format::Vtt => subtitles("vtt")?,
    };
    if !transcript.warnings.is_empty() {
        response.headers_mut().insert(WARNINGS, warnings(&transcript.warnings));
    }
    Ok(response)
}

/// The most of a header that no proxy finds too long.
const LONGEST_HEADER: usize = 1024;

/// Warnings as a header, which has nothing but ASCII.
fn warnings(warnings: &[String]) -> HeaderValue {
    let mut text = warnings.join("; ").replace(|letter: char| !matches!(letter, ' '..='~'), "?");
    text.truncate(LONGEST_HEADER);
    HeaderValue::from_str(&text).expect("all that is left can be printed")
}

fn plain_text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

fn plain(transcript: &Transcript, parts: Parts, transcriber: Option<&Transcriber>) -> Plain {
    Plain {
        text: transcript.text(),
        languages: parts.languages.then(|| codes(transcript.language)),
        logprobs: transcriber.filter(|_| parts.logprobs).map(|transcriber| logprobs(&transcript.segments, transcriber)),
        usage: usage(transcript),
    }
}

fn verbose(transcript: &Transcript, parts: Parts) -> Verbose {
    // A translation is in English, whatever was spoken.
    let language = if transcript.task == Task::Translate { Some(Language::ENGLISH) } else { transcript.language };
    let segments = transcript.segments.iter();
    Verbose {
        task: if transcript.task == Task::Translate { "translate" } else { "transcribe" },
        language: language.map_or("unknown", Language::name).to_owned(),
        duration: transcript.duration,
        text: transcript.text(),
        words: parts.words.then(|| segments.clone().flat_map(words).collect()),
        segments: parts.segments.then(|| segments.map(timed).collect()),
        usage: usage(transcript),
        warnings: transcript.warnings.clone(),
    }
}

/// The words of a segment.
pub fn words(segment: &Segment) -> Vec<TimedWord> {
    let word = |word: &Word| TimedWord { word: word.word.trim().to_owned(), start: word.start, end: word.end };
    segment.words.iter().map(word).collect()
}

fn timed(segment: &Segment) -> TimedSegment {
    TimedSegment {
        id: segment.id,
        seek: segment.seek,
        start: segment.start,
        end: segment.end,
        text: segment.text.clone(),
        tokens: segment.tokens.clone(),
        temperature: segment.temperature,
        avg_logprob: segment.avg_logprob,
        compression_ratio: segment.compression_ratio,
        no_speech_prob: segment.no_speech_prob,
    }
}

/// Translations have none.
fn usage(transcript: &Transcript) -> Option<Usage> {
    let usage = Usage { kind: "duration", seconds: (transcript.duration * 1000.0).round() / 1000.0 };
    Some(usage).filter(|_| transcript.task == Task::Transcribe)
}

/// The languages spoken; none where there was nothing to tell by.
pub fn codes(language: Option<Language>) -> Vec<Code> {
    language.into_iter().map(|language| Code { code: language.code() }).collect()
}

/// The tokens of text, each with its probability.
pub fn logprobs(segments: &[Segment], transcriber: &Transcriber) -> Vec<Logprob> {
    let vocabulary = transcriber.engine().vocabulary();
    let of_segment = |segment: &Segment| {
        let tokens = segment.tokens.iter().filter(|token| vocabulary.is_text(**token));
        let logprob = |(token, logprob): (&u32, &f32)| {
            let mut bytes = Vec::new();
            vocabulary.extend_bytes(*token, &mut bytes);
            Logprob { token: String::from_utf8_lossy(&bytes).into_owned(), bytes, logprob: *logprob }
        };
        tokens.zip(&segment.token_logprobs).map(logprob).collect::<Vec<_>>()
    };
    segments.iter().flat_map(of_segment).collect()
}
