//! The responses that contain a transcript, in the formats of `OpenAI`'s API.

use amanuensis_transcribe::{Language, OutputFormat, Segment, SubtitleOptions, Task, Transcriber, Transcript, Word};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::response_format::ResponseFormat;
use crate::error::ApiError;

/// The response header that contains warnings about the recording. It is sent with every response format.
pub const WARNINGS: HeaderName = HeaderName::from_static("x-amanuensis-warnings");

/// The maximum length of the warnings header, in bytes. Some proxies reject headers of several kilobytes.
const MAX_HEADER_BYTES: usize = 1024;

/// Which optional parts a response with a transcript contains.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each part is requested on its own")]
pub struct ResponseParts {
    pub segments: bool,
    pub words: bool,
    pub logprobs: bool,
    pub languages: bool,
}

/// The body of a response in the format `json` or `verbose_json`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Json)]
pub enum JsonBody {
    /// The text with timestamps, for `verbose_json`.
    Verbose(VerboseBody),
    /// The text without timestamps, for `json`.
    Plain(PlainBody),
}

/// The body of a response in the format `json`.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Plain)]
pub struct PlainBody {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    languages: Option<Vec<LanguageCode>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Vec<Logprob>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

/// The body of a response in the format `verbose_json`.
#[derive(Serialize, ToSchema)]
#[schema(as = Verbose)]
pub struct VerboseBody {
    #[schema(value_type = String)]
    task: Task,
    /// The English name of the language.
    language: String,
    /// The duration of the recording, in seconds.
    duration: f64,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<Vec<TimedSegment>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<Vec<TimedWord>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    /// Warnings about the recording, for example that it seems to be cut off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// A segment of the transcript. The fields `temperature`, `avg_logprob`, `compression_ratio` and `no_speech_prob`
/// describe the whole 30 s window of audio in which the segment was decoded.
#[derive(Serialize, ToSchema)]
pub struct TimedSegment {
    id: usize,
    /// The start of the 30 s window in which the segment was decoded, in frames of 10 ms.
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

/// A word with its start and end in seconds.
#[derive(Serialize, ToSchema)]
pub struct TimedWord {
    word: String,
    start: f64,
    end: f64,
}

/// A token of the transcript and its log-probability.
#[allow(clippy::struct_field_names, reason = "the name is that of OpenAI's interface")]
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Logprob {
    /// The token's text. If a character consists of several tokens, its bytes in one token are not valid UTF-8 and
    /// are replaced by U+FFFD.
    token: String,
    bytes: Vec<u8>,
    logprob: f32,
}

/// A language, given by its code.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Code)]
pub struct LanguageCode {
    code: &'static str,
}

/// The amount of audio that was transcribed.
#[derive(Serialize, ToSchema)]
pub struct Usage {
    /// Always `duration`.
    #[serde(rename = "type")]
    kind: &'static str,
    seconds: f64,
}

/// Builds the response that contains a transcript. `transcriber` is used to convert tokens to text. If it is `None`,
/// the response has no log-probabilities.
///
/// # Errors
/// An [`ApiError`] with status 500 if the transcript cannot be written in the requested format.
pub fn transcript_response(
    transcript: &Transcript,
    format: ResponseFormat,
    parts: ResponseParts,
    transcriber: Option<&Transcriber>,
) -> Result<Response, ApiError> {
    let mut response = match (format, format.output_format()) {
        (_, Some(format)) => plain_text(subtitles(transcript, format)?),
        (ResponseFormat::VerboseJson, None) => {
            axum::Json(JsonBody::Verbose(verbose_body(transcript, parts))).into_response()
        }
        (ResponseFormat::Json, None) => {
            axum::Json(JsonBody::Plain(plain_body(transcript, parts, transcriber))).into_response()
        }
        (_, None) => plain_text(transcript.text() + "\n"),
    };
    if !transcript.warnings.is_empty() {
        response.headers_mut().insert(WARNINGS, warnings_header(&transcript.warnings));
    }
    Ok(response)
}

/// Converts warnings to a header value. Header values may contain only printable ASCII characters.
fn warnings_header(warnings: &[String]) -> HeaderValue {
    let mut text = warnings.join("; ").replace(|letter: char| !matches!(letter, ' '..='~'), "?");
    text.truncate(MAX_HEADER_BYTES);
    HeaderValue::from_str(&text).expect("all other characters have been replaced")
}

fn plain_text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

fn subtitles(transcript: &Transcript, format: OutputFormat) -> Result<String, ApiError> {
    let mut bytes = Vec::new();
    let written = format.write(transcript, &SubtitleOptions::default(), &mut bytes);
    written.map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn plain_body(transcript: &Transcript, parts: ResponseParts, transcriber: Option<&Transcriber>) -> PlainBody {
    PlainBody {
        text: transcript.text(),
        languages: parts.languages.then(|| language_codes(transcript.language)),
        logprobs: transcriber.filter(|_| parts.logprobs).map(|transcriber| logprobs(&transcript.segments, transcriber)),
        usage: usage(transcript),
    }
}

fn verbose_body(transcript: &Transcript, parts: ResponseParts) -> VerboseBody {
    // The text of a translation is always English, so that is its language, whatever language is spoken.
    let is_translation = transcript.task == Task::Translate;
    let language = if is_translation { Some(Language::ENGLISH) } else { transcript.language };
    let segments = transcript.segments.iter();
    VerboseBody {
        task: transcript.task,
        language: language.map_or("unknown", Language::name).to_owned(),
        duration: transcript.duration,
        text: transcript.text(),
        words: parts.words.then(|| segments.clone().flat_map(timed_words).collect()),
        segments: parts.segments.then(|| segments.map(timed_segment).collect()),
        usage: usage(transcript),
        warnings: transcript.warnings.clone(),
    }
}

/// The words of a segment with their times, without the spaces around them.
pub fn timed_words(segment: &Segment) -> Vec<TimedWord> {
    let word = |word: &Word| TimedWord { word: word.word.trim().to_owned(), start: word.start, end: word.end };
    segment.words.iter().map(word).collect()
}

fn timed_segment(segment: &Segment) -> TimedSegment {
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

/// The `usage` field of a transcription's response. `None` for a translation, because `OpenAI`'s API has no such
/// field there.
fn usage(transcript: &Transcript) -> Option<Usage> {
    let usage = Usage { kind: "duration", seconds: (transcript.duration * 1000.0).round() / 1000.0 };
    Some(usage).filter(|_| transcript.task == Task::Transcribe)
}

/// The detected language as a list of language codes. Empty if no language was detected.
pub fn language_codes(language: Option<Language>) -> Vec<LanguageCode> {
    language.into_iter().map(|language| LanguageCode { code: language.code() }).collect()
}

/// The text tokens of the segments, with their log-probabilities.
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
