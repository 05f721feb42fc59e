//! The JSON format of session settings. `OpenAI`'s API has two dialects: the current one (`session.update`), and the
//! one of the beta version (`transcription_session.update`).

use amanuensis_transcribe::RawFormat;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::api::form::fields::Fields;
use crate::error::ApiError;

/// The only value that transcription sessions accept in the setting `include`.
pub const LOGPROBS: &str = "item.input_audio_transcription.logprobs";

/// Sample rates of the audio from the client, in Hz: the default rate for PCM format, and the rate for G.711 format.
const PCM_RATE_HZ: u32 = 24_000;
const G711_RATE_HZ: u32 = 8_000;

/// The version of `OpenAI`'s JSON format that a client uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Current,
    Beta,
}

/// The format of the audio that a client sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AudioFormat {
    pub format: RawFormat,
    pub rate_hz: u32,
}

impl AudioFormat {
    pub const DEFAULT: Self = Self::pcm(PCM_RATE_HZ);
    const MU_LAW: Self = Self { format: RawFormat::MuLaw, rate_hz: G711_RATE_HZ };
    const A_LAW: Self = Self { format: RawFormat::ALaw, rate_hz: G711_RATE_HZ };

    const fn pcm(rate_hz: u32) -> Self {
        Self { format: RawFormat::S16, rate_hz }
    }
}

/// A field of a JSON object: missing (`None`), null (`Some(None)`), or with a value.
pub type Field<T> = Option<Option<T>>;

fn field<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Field<T>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// The settings that a client wants to change, independent of the dialect.
pub struct SessionUpdate {
    pub include: Option<Vec<String>>,
    pub audio: Option<AudioFormat>,
    pub transcription: Field<Transcription>,
    pub turn_detection: Field<TurnDetection>,
    /// The JSON paths of the fields `transcription` and `turn_detection`, for error messages.
    pub transcription_param: &'static str,
    pub turn_detection_param: &'static str,
}

impl SessionUpdate {
    /// Parses `session`, the new settings in an update event.
    ///
    /// # Errors
    /// An [`ApiError`] with status 400 if the value does not match the dialect, or has a setting that this server
    /// does not support.
    pub fn parse(dialect: Dialect, session: Value) -> Result<Self, ApiError> {
        let invalid = |error: serde_json::Error| param_error(format!("session: {error}"), "session");
        match dialect {
            Dialect::Current => serde_json::from_value::<CurrentSession>(session).map_err(invalid)?.into_update(),
            Dialect::Beta => serde_json::from_value::<BetaSession>(session).map_err(invalid)?.into_update(),
        }
    }
}

/// An error with status 400 that names the parameter `param`.
pub fn param_error(message: impl Into<String>, param: &str) -> ApiError {
    ApiError::invalid(message).with_param(param)
}

/// Whether a field is present with a value other than null.
pub fn is_set(field: Option<&Value>) -> bool {
    field.is_some_and(|value| !value.is_null())
}

/// The new settings in the event `session.update` of the current dialect.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CurrentSession {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    audio: Option<CurrentAudio>,
    #[serde(default)]
    include: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CurrentAudio {
    #[serde(default)]
    input: Option<CurrentInput>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CurrentInput {
    #[serde(default)]
    format: Option<CurrentFormat>,
    #[serde(default)]
    noise_reduction: Option<Value>,
    #[serde(default, deserialize_with = "field")]
    transcription: Field<Transcription>,
    #[serde(default, deserialize_with = "field")]
    turn_detection: Field<TurnDetection>,
}

#[derive(Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
enum CurrentFormat {
    #[serde(rename = "audio/pcm")]
    Pcm {
        #[serde(default)]
        rate: Option<u32>,
    },
    #[serde(rename = "audio/pcmu")]
    Pcmu,
    #[serde(rename = "audio/pcma")]
    Pcma,
}

impl CurrentSession {
    fn into_update(self) -> Result<SessionUpdate, ApiError> {
        if self.kind != "transcription" {
            return Err(param_error("only sessions of type `transcription` are supported", "session.type"));
        }
        let input = self.audio.and_then(|audio| audio.input).unwrap_or_default();
        let audio = input.format.map(|format| match format {
            CurrentFormat::Pcm { rate } => AudioFormat::pcm(rate.unwrap_or(PCM_RATE_HZ)),
            CurrentFormat::Pcmu => AudioFormat::MU_LAW,
            CurrentFormat::Pcma => AudioFormat::A_LAW,
        });
        if audio.is_some_and(|audio| !(8_000..=48_000).contains(&audio.rate_hz)) {
            let message = "the rate must be between 8000 and 48000 Hz";
            return Err(param_error(message, "session.audio.input.format.rate"));
        }
        reject_noise_reduction(input.noise_reduction.as_ref(), "session.audio.input.noise_reduction")?;
        Ok(SessionUpdate {
            include: self.include,
            audio,
            transcription: input.transcription,
            turn_detection: input.turn_detection,
            transcription_param: "session.audio.input.transcription",
            turn_detection_param: "session.audio.input.turn_detection",
        })
    }
}

/// The new settings in the event `transcription_session.update` of the beta dialect.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BetaSession {
    #[serde(default)]
    input_audio_format: Option<BetaFormat>,
    #[serde(default)]
    input_audio_noise_reduction: Option<Value>,
    #[serde(default, deserialize_with = "field")]
    input_audio_transcription: Field<Transcription>,
    #[serde(default, deserialize_with = "field")]
    turn_detection: Field<TurnDetection>,
    #[serde(default)]
    modalities: Option<Vec<String>>,
    #[serde(default)]
    include: Option<Vec<String>>,
    #[serde(default)]
    client_secret: Option<Value>,
}

#[derive(Deserialize)]
enum BetaFormat {
    #[serde(rename = "pcm16")]
    Pcm,
    #[serde(rename = "g711_ulaw")]
    Pcmu,
    #[serde(rename = "g711_alaw")]
    Pcma,
}

impl BetaSession {
    fn into_update(self) -> Result<SessionUpdate, ApiError> {
        reject_noise_reduction(self.input_audio_noise_reduction.as_ref(), "session.input_audio_noise_reduction")?;
        if is_set(self.client_secret.as_ref()) {
            return Err(param_error("client secrets are not supported", "session.client_secret"));
        }
        if self.modalities.is_some_and(|modalities| !modalities.iter().any(|modality| modality == "text")) {
            return Err(param_error("the modalities must include `text`", "session.modalities"));
        }
        let audio = self.input_audio_format.map(|format| match format {
            BetaFormat::Pcm => AudioFormat::pcm(PCM_RATE_HZ),
            BetaFormat::Pcmu => AudioFormat::MU_LAW,
            BetaFormat::Pcma => AudioFormat::A_LAW,
        });
        Ok(SessionUpdate {
            include: self.include,
            audio,
            transcription: self.input_audio_transcription,
            turn_detection: self.turn_detection,
            transcription_param: "session.input_audio_transcription",
            turn_detection_param: "session.turn_detection",
        })
    }
}

fn reject_noise_reduction(noise_reduction: Option<&Value>, param: &str) -> Result<(), ApiError> {
    if is_set(noise_reduction) {
        return Err(param_error("noise reduction is not supported; the model is robust to noise", param));
    }
    Ok(())
}

/// The field `transcription` of a session: the model and the decoding options.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcription {
    #[serde(default)]
    pub model: Option<String>,
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    languages: Option<Vec<String>>,
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    keywords: Option<Vec<String>>,
    #[serde(default)]
    pub delay: Option<Value>,
}

/// Lets the form code read the decoding options from the members of `transcription`.
impl Fields for Transcription {
    fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        Ok(match name {
            "language" => self.language.take().filter(|language| !language.is_empty()),
            "prompt" => self.prompt.take().filter(|prompt| !prompt.trim().is_empty()),
            _ => None,
        })
    }

    fn list(&mut self, name: &str) -> Vec<String> {
        let list = match name {
            "languages" => self.languages.take(),
            "keywords" => self.keywords.take(),
            _ => None,
        };
        list.unwrap_or_default()
    }

    fn object(&mut self, _: &str) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// The field `turn_detection` of a session: how the server detects where utterances start and end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnDetection {
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
    #[serde(default)]
    pub threshold: Option<f32>,
    #[serde(default)]
    pub prefix_padding_ms: Option<u32>,
    #[serde(default)]
    pub silence_duration_ms: Option<u32>,
    #[serde(default)]
    pub create_response: Option<bool>,
    #[serde(default)]
    pub interrupt_response: Option<bool>,
    #[serde(default)]
    pub idle_timeout_ms: Option<Value>,
    #[serde(default)]
    pub eagerness: Option<Value>,
}
