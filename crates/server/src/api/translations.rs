//! `POST /v1/audio/translations`: translates an uploaded recording to English.

use std::sync::Arc;

use amanuensis_transcribe::Task;
use axum::extract::{Request, State};
use axum::response::Response;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::error_responses::UploadErrorResponses;
use super::form::decoding_options::{DecodingParams, Endpoint, Schemas, add_form_schemas, form_schema};
use super::form::fields::variant;
use super::form::multipart::Form;
use super::form::speaker_options;
use super::response::{JsonBody, ResponseParts};
use super::response_format::ResponseFormat;
use super::run::{RequestParams, run};
use crate::error::ApiError;
use crate::state::AppState;

/// The schema of the translation form: the fields in [`RequestFields`], and the decoding options.
pub struct TranslationForm;

impl ToSchema for TranslationForm {
    fn schemas(schemas: &mut Schemas) {
        add_form_schemas::<RequestFields>(Endpoint::Translations, schemas);
    }
}

impl PartialSchema for TranslationForm {
    fn schema() -> RefOr<Schema> {
        form_schema::<RequestFields>(Endpoint::Translations)
    }
}

/// A recording, and how to translate it.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "documentation only: `read` takes the fields from the form")]
struct RequestFields {
    /// The recording, in any format that `amanuensis transcribe` can decode.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// The name of a multilingual model from `/v1/models`. `whisper-1` and the names of other `OpenAI` models select
    /// the default model.
    #[schema(min_length = 1, example = "whisper-1")]
    model: String,
    /// The format of the response. The default is `json`.
    #[schema(nullable = false)]
    response_format: Option<ResponseFormat>,
}

/// Translate a recording to English
#[utoipa::path(
    post, path = "/v1/audio/translations", tag = "Audio", operation_id = "createTranslation",
    request_body(content = TranslationForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, content((JsonBody = "application/json"), (String = "text/plain"))),
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
    let mut options = DecodingParams::read(&mut form, Endpoint::Translations)?.options;
    form.finish()?;
    options.task = Task::Translate;
    let parts = ResponseParts { segments: true, ..ResponseParts::default() };
    Ok(RequestParams { upload, model, options, format, stream: false, parts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translations_reject_options_that_only_transcriptions_have() {
        let model = ("model", "whisper-1");
        let params = read(Form::of(&[model, ("response_format", "vtt"), ("temperature", "1")])).unwrap();
        assert_eq!((params.options.task, params.options.temperatures.as_slice()), (Task::Translate, &[1.0][..]));
        for field in ["language", "stream", "include[]"] {
            assert!(read(Form::of(&[model, (field, "en")])).is_err(), "{field}");
        }
    }
}
