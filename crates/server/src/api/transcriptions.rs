//! `POST /v1/audio/transcriptions`.

use std::sync::Arc;

use amanuensis_transcribe::{Language, Task, TranscribeOptions};
use axum::extract::{Request, State};
use axum::response::Response;
use utoipa::ToSchema;

use super::answer::{Format, Parts};
use super::chunking;
use super::form::Form;
use super::refusals::FormRefusals;
use super::run::{Asked, refuse_speakers, run, temperatures};
use super::values::{Chunking, Events, Granularity, Included, Spoken, Temperature};
use crate::error::ApiError;
use crate::state::AppState;

/// A recording, and what to make of it.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is documentation: fields are taken from the form one by one")]
pub struct TranscriptionForm {
    /// The recording: anything that `amanuensis transcribe` reads. The contents decide what it is, not the name.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// A model of `/v1/models`; `whisper-1` and the like mean the default one.
    #[schema(min_length = 1, example = "whisper-1")]
    model: String,
    /// The language spoken; detected where it is not given.
    #[schema(nullable = false)]
    language: Option<Spoken>,
    /// Languages of which one is spoken, where it is not given.
    #[schema(nullable = false, rename = "languages[]")]
    languages: Option<Vec<Spoken>>,
    /// Text that the model is told before every window: names, spelling, style.
    #[schema(nullable = false)]
    prompt: Option<String>,
    /// Words to expect.
    #[schema(nullable = false, rename = "keywords[]")]
    keywords: Option<Vec<String>>,
    /// The form of the answer; `json` where it is not given.
    #[schema(nullable = false)]
    response_format: Option<Format>,
    #[schema(nullable = false)]
    temperature: Option<Temperature>,
    /// With `verbose_json`: whether to answer with `segment`s, with `word`s, or with both.
    #[schema(nullable = false, rename = "timestamp_granularities[]")]
    timestamp_granularities: Option<Vec<Granularity>>,
    /// Whether to send the text as it is found, with `json` and `text`.
    #[schema(nullable = false)]
    stream: Option<bool>,
    /// `logprobs`, with `json`: the probabilities of tokens.
    #[schema(nullable = false, rename = "include[]")]
    include: Option<Vec<Included>>,
    #[schema(nullable = false)]
    chunking_strategy: Option<Chunking>,
}

/// Transcribe a recording
///
/// The form of the answer is that of `OpenAI`. With `stream=true`, server-sent events `transcript.text.delta` and at
/// the end `transcript.text.done`.
#[utoipa::path(
    post, path = "/v1/audio/transcriptions", tag = "Audio", operation_id = "createTranscription",
    request_body(content = TranscriptionForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, content(
            (super::answer::Json = "application/json"), (String = "text/plain"), (Events = "text/event-stream"))),
        FormRefusals,
    )
)]
pub async fn create(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    let asked = read(Form::receive(&state, request).await?)?;
    run(&state, asked).await
}

/// What a form asks for.
fn read(mut form: Form) -> Result<Asked, ApiError> {
    refuse_speakers(&mut form)?;
    let upload = form.upload()?;
    let model = form.text("model")?.ok_or_else(|| ApiError::invalid("the model is missing").with_param("model"))?;
    let language = form.value::<Language>("language")?;
    let mut languages = languages(&mut form, language)?;
    let prompt = form.text("prompt")?;
    let keywords = form.list("keywords");
    let format = form.value::<Format>("response_format")?.unwrap_or(Format::Json);
    let temperatures = temperatures(&mut form)?;
    let granularities = granularities(&mut form, format)?;
    let stream = form.flag("stream")?;
    let logprobs = logprobs(&mut form, format)?;
    let vad = chunking::take(&mut form)?;
    form.finish()?;
    if stream && !matches!(format, Format::Json | Format::Text) {
        let message = "only `json` and `text` can be streamed: the other formats need the whole text";
        return Err(ApiError::invalid(message).with_param("stream"));
    }
    // Among one there is nothing to detect.
    let only = if languages.len() == 1 { languages.pop() } else { None };
    let options = TranscribeOptions {
        language: language.or(only),
        languages,
        task: Task::Transcribe,
        initial_prompt: prompt,
        hotwords: Some(keywords.join(", ")).filter(|words| !words.is_empty()),
        temperatures,
        word_timestamps: granularities.words || logprobs,
        vad: Some(vad),
        ..TranscribeOptions::default()
    };
    let parts = Parts { logprobs, languages: model == "gpt-transcribe", ..granularities };
    Ok(Asked { upload, model, options, format, stream, parts })
}

/// Languages of which one is spoken.
pub fn languages(form: &mut Form, language: Option<Language>) -> Result<Vec<Language>, ApiError> {
    let refuse = |message: String| ApiError::invalid(message).with_param("languages");
    let named = form.list("languages");
    if language.is_some() && !named.is_empty() {
        return Err(refuse("either the language is given, or languages of which one is spoken".to_owned()));
    }
    let parse =
        |name: &String| name.parse().map_err(|error: amanuensis_transcribe::UnknownLanguage| refuse(error.to_string()));
    named.iter().map(parse).collect()
}

fn granularities(form: &mut Form, format: Format) -> Result<Parts, ApiError> {
    let refuse = |message: &str| Err(ApiError::invalid(message).with_param("timestamp_granularities"));
    let named = form.list("timestamp_granularities");
    if named.iter().any(|name| name != "word" && name != "segment") {
        return refuse("times are those of `word`s or of `segment`s");
    }
    if !named.is_empty() && format != Format::VerboseJson {
        return refuse("only `verbose_json` has times of words and segments");
    }
    let has = |name: &str| named.iter().any(|named| named == name);
    Ok(Parts { segments: named.is_empty() || has("segment"), words: has("word"), ..Parts::default() })
}

fn logprobs(form: &mut Form, format: Format) -> Result<bool, ApiError> {
    let refuse = |message: &str| Err(ApiError::invalid(message).with_param("include"));
    let named = form.list("include");
    if named.iter().any(|name| name != "logprobs") {
        return refuse("there is nothing to include but `logprobs`");
    }
    if !named.is_empty() && format != Format::Json {
        return refuse("only `json` has `logprobs`");
    }
    Ok(!named.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fields: &[(&str, &str)]) -> Result<Asked, ApiError> {
        let model = [("model", "whisper-1")];
        read(Form::of(&[&model, fields].concat()))
    }

    #[test]
    fn every_option_is_taken() {
        let fields = [
            ("language", "German"),
            ("prompt", "Guten Tag."),
            ("keywords[]", "Amanuensis"),
            ("keywords[]", "Gänge"),
            ("response_format", "verbose_json"),
            ("temperature", "0.4"),
            ("timestamp_granularities[]", "word"),
            ("stream", "false"),
            ("chunking_strategy", "auto"),
        ];
        let asked = asked(&fields).unwrap();
        assert_eq!(asked.options.language.map(Language::code), Some("de"));
        assert_eq!(asked.options.initial_prompt.as_deref(), Some("Guten Tag."));
        assert_eq!(asked.options.hotwords.as_deref(), Some("Amanuensis, Gänge"));
        assert_eq!(asked.options.temperatures, [0.4, 0.6, 0.8, 1.0]);
        assert!(asked.options.word_timestamps && asked.parts.words && !asked.parts.segments && !asked.stream);
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        let asked = asked(&[("language", ""), ("prompt", " ")]).unwrap();
        assert_eq!(asked.options, TranscribeOptions::default());
        assert_eq!((asked.format, asked.stream, asked.parts.segments), (Format::Json, false, true));
    }

    #[test]
    fn one_language_of_several() {
        let several = asked(&[("languages[]", "de"), ("languages[]", "fr")]).unwrap().options;
        assert_eq!((several.language, several.languages.len()), (None, 2));
        let one = asked(&[("languages[]", "de")]).unwrap().options;
        assert_eq!((one.language.map(Language::code), one.languages.len()), (Some("de"), 0));
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        let refused = [
            (&[("temprature", "0")][..], "temprature"),
            (&[("language", "klingon")], "language"),
            (&[("language", "de"), ("languages[]", "fr")], "languages"),
            (&[("temperature", "2")], "temperature"),
            (&[("temperature", "NaN")], "temperature"),
            (&[("response_format", "pdf")], "response_format"),
            (&[("response_format", "diarized_json")], "response_format"),
            (&[("known_speaker_names[]", "Ann")], "known_speaker_names"),
            (&[("known_speaker_references[]", "data:")], "known_speaker_references"),
            (&[("timestamp_granularities[]", "word")], "timestamp_granularities"),
            (&[("response_format", "srt"), ("stream", "true")], "stream"),
            (&[("stream", "yes")], "stream"),
            (&[("include[]", "logprobs"), ("response_format", "text")], "include"),
            (&[("include[]", "speakers")], "include"),
            (&[("prompt", "a"), ("prompt", "b")], "prompt"),
        ];
        for (fields, param) in refused {
            let error = asked(fields).err().unwrap_or_else(|| panic!("{fields:?}"));
            assert_eq!(error.status(), 400, "{fields:?}");
            assert_eq!(error.body().error.param.as_deref(), Some(param));
        }
        let diarize = read(Form::of(&[("model", "gpt-4o-transcribe-diarize")])).err().unwrap();
        assert!(diarize.body().error.message.contains("speakers"), "{diarize:?}");
        assert!(read(Form::of(&[])).err().unwrap().body().error.message.contains("model"));
    }
}
