//! `POST /v1/audio/translations`.

use std::sync::Arc;

use amanuensis_transcribe::{Task, TranscribeOptions};
use axum::extract::{Request, State};
use axum::response::Response;
use utoipa::ToSchema;

use super::answer::{Format, Parts};
use super::form::Form;
use super::refusals::FormRefusals;
use super::run::{Asked, refuse_speakers, run, temperatures};
use super::values::Temperature;
use crate::error::ApiError;
use crate::state::AppState;

/// A recording, and how to translate it.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is documentation: fields are taken from the form one by one")]
pub struct TranslationForm {
    /// The recording.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// A multilingual model of `/v1/models`; `whisper-1` and the like mean the default one.
    #[schema(min_length = 1, example = "whisper-1")]
    model: String,
    /// Text in English that the model is told before every window.
    #[schema(nullable = false)]
    prompt: Option<String>,
    /// The form of the answer; `json` where it is not given.
    #[schema(nullable = false)]
    response_format: Option<Format>,
    #[schema(nullable = false)]
    temperature: Option<Temperature>,
}

/// Translate a recording to English
#[utoipa::path(
    post, path = "/v1/audio/translations", tag = "Audio", operation_id = "createTranslation",
    request_body(content = TranslationForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, content((super::answer::Json = "application/json"), (String = "text/plain"))),
        FormRefusals,
    )
)]
pub async fn create(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    let asked = read(Form::receive(&state, request).await?)?;
    run(&state, asked).await
}

fn read(mut form: Form) -> Result<Asked, ApiError> {
    refuse_speakers(&mut form)?;
    let upload = form.upload()?;
    let model = form.text("model")?.ok_or_else(|| ApiError::invalid("the model is missing").with_param("model"))?;
    let prompt = form.text("prompt")?;
    let format = form.value::<Format>("response_format")?.unwrap_or(Format::Json);
    let temperatures = temperatures(&mut form)?;
    form.finish()?;
    let options = TranscribeOptions {
        task: Task::Translate,
        initial_prompt: prompt,
        temperatures,
        ..TranscribeOptions::default()
    };
    let parts = Parts { segments: true, ..Parts::default() };
    Ok(Asked { upload, model, options, format, stream: false, parts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_translations_have() {
        let model = ("model", "whisper-1");
        let asked = read(Form::of(&[model, ("response_format", "vtt"), ("temperature", "1")])).unwrap();
        assert_eq!((asked.options.task, asked.options.temperatures.as_slice()), (Task::Translate, &[1.0][..]));
        for field in ["language", "stream", "include[]"] {
            assert!(read(Form::of(&[model, (field, "en")])).is_err(), "{field}");
        }
    }
}
