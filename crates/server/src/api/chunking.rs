//! `chunking_strategy`: what counts as speech.

use amanuensis_transcribe::VadOptions;
use serde::Deserialize;
use utoipa::ToSchema;

use super::form::Form;
use crate::error::ApiError;

const NAME: &str = "chunking_strategy";

/// The object that `chunking_strategy` may be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerVad {
    #[schema(inline)]
    #[serde(rename = "type")]
    kind: Kind,
    /// How probable speech has to be.
    #[schema(minimum = 0, maximum = 1)]
    threshold: Option<f32>,
    /// Milliseconds before and after speech that are read with it.
    #[schema(maximum = 60_000)]
    prefix_padding_ms: Option<u32>,
    /// Milliseconds; a pause that is shorter does not end speech.
    #[schema(maximum = 60_000)]
    silence_duration_ms: Option<u32>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    ServerVad,
}

/// What the form says of it: `auto`, an object in JSON, or its fields as `chunking_strategy[threshold]` and so on.
pub fn take(form: &mut Form) -> Result<VadOptions, ApiError> {
    let refuse = |error: &dyn std::fmt::Display| ApiError::invalid(format!("{NAME}: {error}")).with_param(NAME);
    let (text, fields) = (form.text(NAME)?, form.object(NAME));
    let value = match text.as_deref().map(str::trim) {
        Some(_) if !fields.is_empty() => return Err(refuse(&"is given in two ways")),
        None if fields.is_empty() => return Ok(VadOptions::default()),
        Some("auto" | "\"auto\"") => return Ok(VadOptions::default()),
        Some(json) => serde_json::from_str(json).map_err(|_| refuse(&"is neither `auto` nor an object"))?,
        None => {
            // All fields but the type are numbers.
            let value = |text: String| serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text));
            fields.into_iter().map(|(key, text)| (key, value(text))).collect::<serde_json::Value>()
        }
    };
    let ServerVad { kind: Kind::ServerVad, threshold, prefix_padding_ms, silence_duration_ms } =
        serde_json::from_value(value).map_err(|error| refuse(&error))?;
    if threshold.is_some_and(|threshold| !(0.0..=1.0).contains(&threshold)) {
        return Err(refuse(&"the threshold lies between 0 and 1"));
    }
    if [prefix_padding_ms, silence_duration_ms].into_iter().flatten().any(|ms| ms > 60_000) {
        return Err(refuse(&"times are at most 60000 ms"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_ways_to_say_it() {
        let auto = take(&mut Form::of(&[(NAME, "auto")])).unwrap();
        assert_eq!((auto, take(&mut Form::of(&[])).unwrap()), (VadOptions::default(), VadOptions::default()));
        let json = r#"{"type": "server_vad", "threshold": 0.25, "silence_duration_ms": 300}"#;
        let vad = take(&mut Form::of(&[(NAME, json)])).unwrap();
        assert_eq!((vad.threshold, vad.min_silence), (0.25, 0.3));
        let fields = [("chunking_strategy[type]", "server_vad"), ("chunking_strategy[prefix_padding_ms]", "100")];
        assert_eq!(take(&mut Form::of(&fields)).unwrap(), VadOptions { padding: 0.1, ..VadOptions::default() });
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "none",
            "{}",
            r#"{"type": "semantic"}"#,
            r#"{"type": "server_vad", "eagerness": 1}"#,
            r#"{"type": "server_vad", "threshold": 7}"#,
        ] {
            assert!(take(&mut Form::of(&[(NAME, text)])).is_err(), "{text}");
        }
        assert!(take(&mut Form::of(&[(NAME, "auto"), ("chunking_strategy[type]", "server_vad")])).is_err());
        assert!(take(&mut Form::of(&[("chunking_strategy[threshold]", "0.5")])).is_err());
    }
}
