//! What a job asks for.

use amanuensis_transcribe::{Language, Task, TranscribeOptions};
use tempfile::TempPath;
use utoipa::ToSchema;

use super::super::chunking;
use super::super::form::{Form, Upload};
use super::super::run::{refuse_speakers, temperatures};
use super::super::transcriptions::languages;
use super::super::values::{Chunking, Granularity, Spoken, TaskName, Temperature};
use crate::error::ApiError;
use crate::jobs::JobParams;

/// Characters that a job may be called by.
const LONGEST_NAME: usize = 200;

/// A recording, and what to make of it.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is documentation: fields are taken from the form one by one")]
pub struct JobForm {
    /// The recording: anything that `amanuensis transcribe` reads. Either this or `path`.
    #[schema(value_type = Option<String>, format = Binary, nullable = false)]
    file: Option<Vec<u8>>,
    /// The recording's path in the server's folder of recordings.
    #[schema(nullable = false)]
    path: Option<String>,
    /// A model of `/v1/models`; `OpenAI`'s names mean the default one.
    #[schema(min_length = 1, example = "whisper-1")]
    model: String,
    /// What to call the job.
    #[schema(nullable = false, max_length = 200)]
    name: Option<String>,
    #[schema(nullable = false)]
    task: Option<TaskName>,
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
    #[schema(nullable = false)]
    temperature: Option<Temperature>,
    /// `word`, for the times of words.
    #[schema(nullable = false, rename = "timestamp_granularities[]")]
    timestamp_granularities: Option<Vec<Granularity>>,
    #[schema(nullable = false)]
    chunking_strategy: Option<Chunking>,
}

/// The job of a form, and the recording that was uploaded.
pub fn read(mut form: Form) -> Result<(JobParams, Option<TempPath>), ApiError> {
    refuse_speakers(&mut form)?;
    let path = form.text("path")?;
    let upload = match (form.has_upload(), &path) {
        (true, Some(_)) => return Err(ApiError::invalid("either `file` or `path` is given").with_param("path")),
        (false, Some(_)) => None,
        (_, None) => Some(form.upload()?),
    };
    let model = form.text("model")?.ok_or_else(|| ApiError::invalid("the model is missing").with_param("model"))?;
    let name = form.text("name")?;
    if name.as_ref().is_some_and(|name| name.chars().count() > LONGEST_NAME) {
        return Err(ApiError::invalid(format!("a name has up to {LONGEST_NAME} characters")).with_param("name"));
    }
    let task = match form.text("task")?.as_deref() {
        None | Some("transcribe") => Task::Transcribe,
        Some("translate") => Task::Translate,
        Some(_) => return Err(ApiError::invalid("the tasks are transcribe and translate").with_param("task")),
    };
    let language = form.value::<Language>("language")?;
    let mut languages = languages(&mut form, language)?;
    let prompt = form.text("prompt")?;
    let keywords = form.list("keywords");
    let temperatures = temperatures(&mut form)?;
    let granularities = form.list("timestamp_granularities");
    if granularities.iter().any(|name| name != "word" && name != "segment") {
        let message = "times are those of `word`s or of `segment`s";
        return Err(ApiError::invalid(message).with_param("timestamp_granularities"));
    }
    let vad = chunking::take(&mut form)?;
    form.finish()?;
    // Among one there is nothing to detect.
    let only = if languages.len() == 1 { languages.pop() } else { None };
    let options = TranscribeOptions {
        language: language.or(only),
        languages,
        task,
        initial_prompt: prompt,
        hotwords: Some(keywords.join(", ")).filter(|words| !words.is_empty()),
        temperatures,
        word_timestamps: granularities.iter().any(|name| name == "word"),
        vad: Some(vad),
        ..TranscribeOptions::default()
    };
    Ok((JobParams { name, path, model, options }, upload.map(Upload::into_path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fields: &[(&str, &str)]) -> Result<(JobParams, Option<TempPath>), ApiError> {
        read(Form::of(&[&[("model", "base")], fields].concat()))
    }

    #[test]
    fn every_option_is_taken() {
        let fields = [
            ("name", "talk"),
            ("task", "translate"),
            ("language", "de"),
            ("prompt", "Hello."),
            ("keywords[]", "Amanuensis"),
            ("temperature", "0.4"),
            ("timestamp_granularities[]", "word"),
            ("chunking_strategy", r#"{"type":"server_vad","threshold":0.6}"#),
        ];
        let (job, upload) = asked(&fields).unwrap();
        assert_eq!((job.name.as_deref(), job.path, job.model.as_str()), (Some("talk"), None, "base"));
        let options = job.options;
        assert_eq!((options.task, options.language.map(Language::code)), (Task::Translate, Some("de")));
        assert_eq!(
            (options.initial_prompt.as_deref(), options.hotwords.as_deref()),
            (Some("Hello."), Some("Amanuensis"))
        );
        assert!(options.word_timestamps && options.temperatures[0] > 0.3 && upload.is_some());
        assert!(options.vad.is_some_and(|vad| vad.threshold > 0.5));
        assert_eq!(asked(&[]).unwrap().0.options, TranscribeOptions::default());
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        let long = "n".repeat(201);
        let refused = [
            ("path", "talk.mp3"),
            ("name", long.as_str()),
            ("task", "summarise"),
            ("language", "klingon"),
            ("timestamp_granularities[]", "letter"),
            ("response_format", "srt"),
            ("stream", "true"),
        ];
        for (field, value) in refused {
            let error = asked(&[(field, value)]).err().unwrap_or_else(|| panic!("{field}"));
            assert_eq!(error.status(), 400, "{field}");
            assert_eq!(error.body().error.param.as_deref(), Some(field.trim_end_matches("[]")));
        }
    }
}
