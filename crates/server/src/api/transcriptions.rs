//! `POST /v1/audio/transcriptions`: transcribes an uploaded recording.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use strum::{EnumString, VariantNames};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::error_responses::UploadErrorResponses;
use super::form::decoding_options::{DecodingParams, Endpoint, Granularity, Schemas, add_form_schemas, form_schema};
use super::form::fields::{variant, variants};
use super::form::multipart::Form;
use super::form::speaker_options;
use super::response::{JsonBody, ResponseParts};
use super::response_format::ResponseFormat;
use super::run::{RequestParams, run};
use super::schemas::Events;
use crate::error::ApiError;
use crate::state::AppState;

/// The `OpenAI` model whose responses contain the detected languages.
const MODEL_WITH_LANGUAGES: &str = "gpt-transcribe";

/// The schema of the transcription form: the fields in [`RequestFields`], and the decoding options.
pub struct TranscriptionForm;

impl ToSchema for TranscriptionForm {
    fn schemas(schemas: &mut Schemas) {
        add_form_schemas::<RequestFields>(Endpoint::Transcriptions, schemas);
    }
}

impl PartialSchema for TranscriptionForm {
    fn schema() -> RefOr<Schema> {
        form_schema::<RequestFields>(Endpoint::Transcriptions)
    }
}

/// A recording, and how to transcribe it.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "documentation only: `read` takes the fields from the form")]
struct RequestFields {
    /// The recording, in any format that `amanuensis transcribe` can decode. The format is detected from the content,
    /// not from the file name.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// The name of a model from `/v1/models`. `whisper-1` and the names of other `OpenAI` models select the default
    /// model.
    #[schema(min_length = 1, example = "whisper-1")]
    model: String,
    /// The format of the response. The default is `json`.
    #[schema(nullable = false)]
    response_format: Option<ResponseFormat>,
    /// Whether to stream the text while the recording is decoded. Allowed with the formats `json` and `text`.
    #[schema(nullable = false)]
    stream: Option<bool>,
    /// `logprobs` adds the log-probabilities of tokens to the response. Allowed with the format `json`.
    #[schema(nullable = false, rename = "include[]")]
    include: Option<Vec<Included>>,
}

/// An optional part of a response.
#[derive(PartialEq, EnumString, VariantNames, ToSchema)]
#[strum(serialize_all = "snake_case")]
#[schema(rename_all = "snake_case")]
enum Included {
    Logprobs,
}

/// Transcribe a recording
///
/// The request and the response have the format of `OpenAI`'s API. With `stream=true` the response is a stream of
/// server-sent events: a `transcript.text.delta` event for each piece of text, and a `transcript.text.done` event at
/// the end.
#[utoipa::path(
    post, path = "/v1/audio/transcriptions", tag = "Audio", operation_id = "createTranscription",
    request_body(content = TranscriptionForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, content(
            (JsonBody = "application/json"), (String = "text/plain"), (Events = "text/event-stream"))),
        UploadErrorResponses,
    )
)]
pub async fn create(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    let params = read(Form::receive(&state, request).await?)?;
    run(&state, params).await
}

fn read(mut form: Form) -> Result<RequestParams, ApiError> {
    speaker_options::reject(&mut form)?;
    let (upload, model) = (form.upload()?, form.model()?);
    let format = variant::<ResponseFormat>(&mut form, "response_format")?.unwrap_or_default();
    let stream = form.flag("stream")?;
    let included = variants::<Included>(&mut form, "include")?;
    let mut decoding = DecodingParams::read(&mut form, Endpoint::Transcriptions)?;
    decoding.resolve_language()?;
    let DecodingParams { mut options, granularities, .. } = decoding;
    if !granularities.is_empty() && format != ResponseFormat::VerboseJson {
        let message = "timestamps are available only with the response format `verbose_json`";
        return Err(ApiError::invalid(message).with_param("timestamp_granularities"));
    }
    if !included.is_empty() && format != ResponseFormat::Json {
        let message = "`logprobs` are available only with the response format `json`";
        return Err(ApiError::invalid(message).with_param("include"));
    }
    form.finish()?;
    if stream && !matches!(format, ResponseFormat::Json | ResponseFormat::Text) {
        let message = "only the response formats `json` and `text` can be streamed";
        return Err(ApiError::invalid(message).with_param("stream"));
    }
    let parts = ResponseParts {
        segments: granularities.is_empty() || granularities.contains(&Granularity::Segment),
        words: granularities.contains(&Granularity::Word),
        logprobs: included.contains(&Included::Logprobs),
        languages: model == MODEL_WITH_LANGUAGES,
    };
    options.word_timestamps |= parts.logprobs;
    Ok(RequestParams { upload, model, options, format, stream, parts })
}

#[cfg(test)]
mod tests {
    use amanuensis_transcribe::TranscribeOptions;

    use super::*;

    fn read_fields(fields: &[(&str, &str)]) -> Result<RequestParams, ApiError> {
        let model = [("model", "whisper-1")];
        read(Form::of(&[&model, fields].concat()))
    }

    #[test]
    fn every_field_is_read() {
        let fields = [
            ("language", "German"),
            ("response_format", "verbose_json"),
            ("timestamp_granularities[]", "word"),
            ("stream", "false"),
            ("chunking_strategy", "auto"),
        ];
        let params = read_fields(&fields).unwrap();
        assert_eq!((params.model.as_str(), params.format), ("whisper-1", ResponseFormat::VerboseJson));
        assert!(params.options.language.is_some() && params.options.word_timestamps);
        assert!(params.parts.words && !params.parts.segments && !params.parts.logprobs && !params.stream);
        let logprobs = read_fields(&[("include[]", "logprobs"), ("stream", "True")]).unwrap();
        assert!(logprobs.parts.logprobs && logprobs.options.word_timestamps && logprobs.stream);
    }

    #[test]
    fn missing_fields_get_the_default_values() {
        let params = read_fields(&[]).unwrap();
        assert_eq!(params.options, TranscribeOptions::default());
        assert_eq!((params.format, params.stream, params.parts.segments), (ResponseFormat::Json, false, true));
    }

    #[test]
    fn invalid_fields_and_combinations_are_rejected() {
        let rejected = [
            (&[("temprature", "0")][..], "temprature"),
            (&[("language", "de"), ("languages[]", "fr")], "languages"),
            (&[("response_format", "pdf")], "response_format"),
            (&[("response_format", "diarized_json")], "response_format"),
            (&[("known_speaker_names[]", "Ann")], "known_speaker_names"),
            (&[("known_speaker_references[]", "data:")], "known_speaker_references"),
            (&[("timestamp_granularities[]", "word")], "timestamp_granularities"),
            (&[("response_format", "srt"), ("stream", "true")], "stream"),
            (&[("stream", "yes")], "stream"),
            (&[("include[]", "logprobs"), ("response_format", "text")], "include"),
            (&[("include[]", "speakers")], "include"),
        ];
        for (fields, param) in rejected {
            let error = read_fields(fields).err().unwrap_or_else(|| panic!("{fields:?}"));
            assert_eq!(error.status(), 400, "{fields:?}");
            assert_eq!(error.body().error.param.as_deref(), Some(param));
        }
        let diarize = read(Form::of(&[("model", "gpt-4o-transcribe-diarize")])).err().unwrap();
        assert!(diarize.body().error.message.contains("speaker"), "{diarize:?}");
        assert!(read(Form::of(&[])).err().unwrap().body().error.message.contains("model"));
    }
}
