//! The multipart form with which a job is submitted.

use tempfile::TempPath;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::api::form::decoding_options::{DecodingParams, Endpoint, Schemas, add_form_schemas, form_schema};
use crate::api::form::fields::Fields;
use crate::api::form::multipart::Form;
use crate::api::form::speaker_options;
use crate::api::form::upload::Upload;
use crate::error::ApiError;
use crate::jobs::JobParams;

/// The maximum length of a job's display name, in characters.
const MAX_NAME_CHARS: usize = 200;

/// The schema of the job form: the fields in [`RequestFields`], and the decoding options.
pub struct JobForm;

impl ToSchema for JobForm {
    fn schemas(schemas: &mut Schemas) {
        add_form_schemas::<RequestFields>(Endpoint::Jobs, schemas);
    }
}

impl PartialSchema for JobForm {
    fn schema() -> RefOr<Schema> {
        form_schema::<RequestFields>(Endpoint::Jobs)
    }
}

/// A recording, and how to transcribe it.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "documentation only: `read` takes the fields from the form")]
struct RequestFields {
    /// The recording, in any format that `amanuensis transcribe` can decode. Either this or `path` is required.
    #[schema(value_type = Option<String>, format = Binary, nullable = false)]
    file: Option<Vec<u8>>,
    /// The path of the recording, relative to the server's folder of recordings.
    #[schema(nullable = false)]
    path: Option<String>,
    /// The name of a model from `/v1/models`. `whisper-1` and the names of other `OpenAI` models select the default
    /// model.
    #[schema(min_length = 1, example = "whisper-1")]
    model: String,
    /// A display name for the job.
    #[schema(nullable = false, max_length = 200)]
    name: Option<String>,
}

/// Reads the fields of a form. Returns the parameters of the job, and the uploaded file if there is one.
///
/// # Errors
/// An [`ApiError`] with status 400 that names the invalid field.
pub fn read(mut form: Form) -> Result<(JobParams, Option<TempPath>), ApiError> {
    speaker_options::reject(&mut form)?;
    let path = form.text("path")?;
    let upload = match (form.has_upload(), &path) {
        (true, Some(_)) => {
            return Err(ApiError::invalid("`file` and `path` cannot be combined").with_param("path"));
        }
        (false, Some(_)) => None,
        (_, None) => Some(form.upload()?),
    };
    let model = form.model()?;
    let name = form.text("name")?;
    if name.as_ref().is_some_and(|name| name.chars().count() > MAX_NAME_CHARS) {
        let message = format!("the name must not have more than {MAX_NAME_CHARS} characters");
        return Err(ApiError::invalid(message).with_param("name"));
    }
    let mut decoding = DecodingParams::read(&mut form, Endpoint::Jobs)?;
    decoding.resolve_language()?;
    form.finish()?;
    Ok((JobParams { name, path, model, options: decoding.options }, upload.map(Upload::into_path)))
}

#[cfg(test)]
mod tests {
    use amanuensis_transcribe::{Task, TranscribeOptions};

    use super::*;

    fn read_fields(fields: &[(&str, &str)]) -> Result<(JobParams, Option<TempPath>), ApiError> {
        read(Form::of(&[&[("model", "base")], fields].concat()))
    }

    #[test]
    fn every_field_is_read() {
        let fields = [("name", "talk"), ("task", "translate"), ("timestamp_granularities[]", "word")];
        let (job, upload) = read_fields(&fields).unwrap();
        assert_eq!((job.name.as_deref(), job.path, job.model.as_str()), (Some("talk"), None, "base"));
        assert!(job.options.task == Task::Translate && job.options.word_timestamps && upload.is_some());
        assert_eq!(read_fields(&[]).unwrap().0.options, TranscribeOptions::default());
    }

    #[test]
    fn invalid_fields_are_rejected() {
        let long = "n".repeat(201);
        let rejected = [
            ("path", "talk.mp3"),
            ("name", long.as_str()),
            ("task", "summarise"),
            ("response_format", "srt"),
            ("stream", "true"),
        ];
        for (field, value) in rejected {
            let error = read_fields(&[(field, value)]).err().unwrap_or_else(|| panic!("{field}"));
            assert_eq!(error.status(), 400, "{field}");
            assert_eq!(error.body().error.param.as_deref(), Some(field));
        }
    }
}
