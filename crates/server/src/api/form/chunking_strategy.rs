//! The form field `chunking_strategy`: the settings of voice activity detection.

use std::fmt::Display;

use amanuensis_transcribe::VadOptions;
use serde::Deserialize;
use utoipa::ToSchema;

use super::fields::Fields;
use crate::error::ApiError;

const NAME: &str = "chunking_strategy";

/// The highest value allowed for the padding and for the silence duration, in milliseconds.
const MAX_MS: u32 = 60_000;

/// Voice activity detection: `auto` for the server's default settings, or an object with settings.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documentation only: `read` accepts more notations")]
pub enum Chunking {
    Auto(Auto),
    ServerVad(ServerVad),
}

/// `auto`: the server's default settings.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "documentation only: `read` accepts more notations")]
pub enum Auto {
    Auto,
}

/// Settings of voice activity detection.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerVad {
    #[schema(inline)]
    #[serde(rename = "type")]
    kind: Kind,
    /// Audio counts as speech if its speech probability is at least this value.
    #[schema(minimum = 0, maximum = 1)]
    threshold: Option<f32>,
    /// How much audio before and after each speech segment is transcribed too, in milliseconds.
    #[schema(maximum = 60_000)]
    prefix_padding_ms: Option<u32>,
    /// A pause of at least this length ends a speech segment, in milliseconds.
    #[schema(maximum = 60_000)]
    silence_duration_ms: Option<u32>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    ServerVad,
}

/// Reads the field: `auto`, a JSON object, or separate form fields such as `chunking_strategy[threshold]`.
///
/// # Errors
/// An [`ApiError`] with status 400 if the value has none of these forms, or if a setting is invalid.
pub fn read(fields: &mut dyn Fields) -> Result<VadOptions, ApiError> {
    let (text, members) = (fields.text(NAME)?, fields.object(NAME));
    let value = match text.as_deref().map(str::trim) {
        Some(_) if !members.is_empty() => return Err(error("is given as one field and as several")),
        None if members.is_empty() => return Ok(VadOptions::default()),
        Some("auto" | "\"auto\"") => return Ok(VadOptions::default()),
        Some(json) => serde_json::from_str(json).map_err(|_| error("is neither `auto` nor a JSON object"))?,
        None => {
            // All values of a form are strings. Every member except `type` is a number, so parse the text as JSON. If
            // that fails, keep the text as a string.
            let value = |text: String| serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text));
            members.into_iter().map(|(key, text)| (key, value(text))).collect::<serde_json::Value>()
        }
    };
    serde_json::from_value::<ServerVad>(value).map_err(error)?.options()
}

impl ServerVad {
    fn options(self) -> Result<VadOptions, ApiError> {
        let Self { kind: Kind::ServerVad, threshold, prefix_padding_ms, silence_duration_ms } = self;
        if threshold.is_some_and(|threshold| !(0.0..=1.0).contains(&threshold)) {
            return Err(error("the threshold must be between 0 and 1"));
        }
        if [prefix_padding_ms, silence_duration_ms].into_iter().flatten().any(|ms| ms > MAX_MS) {
            return Err(error(format!("durations must not exceed {MAX_MS} ms")));
        }
        let seconds = |ms: u32| f64::from(ms) / 1000.0;
        let default = VadOptions::default();
        Ok(VadOptions {
            threshold: threshold.unwrap_or(default.threshold),
            padding: prefix_padding_ms.map_or(default.padding, seconds),
            min_silence: silence_duration_ms.map_or(default.min_silence, seconds),
            ..default
        })
    }
}

fn error(problem: impl Display) -> ApiError {
    ApiError::invalid(format!("{NAME}: {problem}")).with_param(NAME)
}

#[cfg(test)]
mod tests {
    use super::super::multipart::Form;
    use super::*;

    #[test]
    fn auto_json_and_separate_fields_are_accepted() {
        let auto = read(&mut Form::of(&[(NAME, "auto")])).unwrap();
        assert_eq!((auto, read(&mut Form::of(&[])).unwrap()), (VadOptions::default(), VadOptions::default()));
        let json = r#"{"type": "server_vad", "threshold": 0.25, "silence_duration_ms": 300}"#;
        let vad = read(&mut Form::of(&[(NAME, json)])).unwrap();
        assert_eq!((vad.threshold, vad.min_silence), (0.25, 0.3));
        let fields = [("chunking_strategy[type]", "server_vad"), ("chunking_strategy[prefix_padding_ms]", "100")];
        assert_eq!(read(&mut Form::of(&fields)).unwrap(), VadOptions { padding: 0.1, ..VadOptions::default() });
    }

    #[test]
    fn invalid_strategies_are_rejected() {
        for text in [
            "none",
            "{}",
            r#"{"type": "semantic"}"#,
            r#"{"type": "server_vad", "eagerness": 1}"#,
            r#"{"type": "server_vad", "threshold": 7}"#,
        ] {
            assert!(read(&mut Form::of(&[(NAME, text)])).is_err(), "{text}");
        }
        assert!(read(&mut Form::of(&[(NAME, "auto"), ("chunking_strategy[type]", "server_vad")])).is_err());
        assert!(read(&mut Form::of(&[("chunking_strategy[threshold]", "0.5")])).is_err());
    }
}
