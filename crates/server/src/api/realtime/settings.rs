//! What a client asks of a session, in the two forms that `OpenAI`'s clients have for it: the present one, and that of the
//! beta (`transcription_session.update`).

use amanuensis_transcribe::{Language, RawFormat, TranscribeOptions, UtteranceOptions};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::error::ApiError;

/// Which form a client uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Present,
    Beta,
}

/// A session's settings, as the client may see and change them.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The model, as the client calls it.
    pub model: String,
    pub format: RawFormat,
    pub rate: u32,
    pub turns: Option<UtteranceOptions>,
    language: Option<Language>,
    languages: Vec<Language>,
    prompt: Option<String>,
    keywords: Vec<String>,
    /// Whether the probabilities of words are told.
    pub logprobs: bool,
}

/// The only thing that can be included.
const LOGPROBS: &str = "item.input_audio_transcription.logprobs";

/// The rate of PCM that `OpenAI`'s interface has.
const PCM_RATE: u32 = 24_000;
const TELEPHONE_RATE: u32 = 8_000;

/// A field that was not there, one that is `null`, and one with a value.
type Field<T> = Option<Option<T>>;

fn field<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Field<T>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// `session` of `session.update`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PresentSession {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    audio: Option<PresentAudio>,
    #[serde(default)]
    include: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PresentAudio {
    #[serde(default)]
    input: Option<PresentInput>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PresentInput {
    #[serde(default)]
    format: Option<Format>,
    #[serde(default)]
    noise_reduction: Option<Value>,
    #[serde(default, deserialize_with = "field")]
    transcription: Field<Transcription>,
    #[serde(default, deserialize_with = "field")]
    turn_detection: Field<TurnDetection>,
}

#[derive(Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
enum Format {
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

/// `session` of `transcription_session.update`.
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transcription {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    languages: Option<Vec<String>>,
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    keywords: Option<Vec<String>>,
    #[serde(default)]
    delay: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TurnDetection {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    threshold: Option<f32>,
    #[serde(default)]
    prefix_padding_ms: Option<u32>,
    #[serde(default)]
    silence_duration_ms: Option<u32>,
    #[serde(default)]
    create_response: Option<bool>,
    #[serde(default)]
    interrupt_response: Option<bool>,
    #[serde(default)]
    idle_timeout_ms: Option<Value>,
    #[serde(default)]
    eagerness: Option<Value>,
}

fn refuse(message: impl Into<String>, param: &str) -> ApiError {
    ApiError::invalid(message).with_param(param)
}

impl Asked {
    /// What a session has until the client says otherwise: turns are detected where there is something to do so.
    pub fn new(model: &str, detects_turns: bool) -> Self {
        Self {
            model: model.to_owned(),
            format: RawFormat::S16,
            rate: PCM_RATE,
            turns: detects_turns.then(UtteranceOptions::default),
            language: None,
            languages: Vec::new(),
            prompt: None,
            keywords: Vec::new(),
            logprobs: false,
        }
    }

    /// These settings with what a client wants otherwise.
    pub fn updated(&self, dialect: Dialect, session: Value) -> Result<Self, ApiError> {
        let mut asked = self.clone();
        let unsuitable = |error: serde_json::Error| refuse(format!("session: {error}"), "session");
        match dialect {
            Dialect::Present => asked.update(serde_json::from_value(session).map_err(unsuitable)?)?,
            Dialect::Beta => asked.update_beta(serde_json::from_value(session).map_err(unsuitable)?)?,
        }
        Ok(asked)
    }

    fn update(&mut self, session: PresentSession) -> Result<(), ApiError> {
        if session.kind != "transcription" {
            return Err(refuse("the sessions here are of the type `transcription`", "session.type"));
        }
        self.include(session.include.as_deref())?;
        let Some(input) = session.audio.and_then(|audio| audio.input) else { return Ok(()) };
        if let Some(format) = input.format {
            (self.format, self.rate) = match format {
                Format::Pcm { rate } => (RawFormat::S16, rate.unwrap_or(PCM_RATE)),
                Format::Pcmu => (RawFormat::MuLaw, TELEPHONE_RATE),
                Format::Pcma => (RawFormat::ALaw, TELEPHONE_RATE),
            };
            if !(8_000..=48_000).contains(&self.rate) {
                return Err(refuse("the rate lies between 8000 and 48000 Hz", "session.audio.input.format.rate"));
            }
        }
        refuse_noise_reduction(input.noise_reduction.as_ref(), "session.audio.input.noise_reduction")?;
        self.transcribe_by(input.transcription, "session.audio.input.transcription")?;
        self.detect_by(input.turn_detection, "session.audio.input.turn_detection")
    }

    fn update_beta(&mut self, session: BetaSession) -> Result<(), ApiError> {
        self.include(session.include.as_deref())?;
        refuse_noise_reduction(session.input_audio_noise_reduction.as_ref(), "session.input_audio_noise_reduction")?;
        if session.client_secret.is_some_and(|secret| !secret.is_null()) {
            return Err(refuse("there are no secrets of sessions here", "session.client_secret"));
        }
        if session.modalities.is_some_and(|modalities| !modalities.iter().any(|modality| modality == "text")) {
            return Err(refuse("a transcription is text", "session.modalities"));
        }
        if let Some(format) = session.input_audio_format {
            (self.format, self.rate) = match format {
                BetaFormat::Pcm => (RawFormat::S16, PCM_RATE),
                BetaFormat::Pcmu => (RawFormat::MuLaw, TELEPHONE_RATE),
                BetaFormat::Pcma => (RawFormat::ALaw, TELEPHONE_RATE),
            };
        }
        self.transcribe_by(session.input_audio_transcription, "session.input_audio_transcription")?;
        self.detect_by(session.turn_detection, "session.turn_detection")
    }

    fn include(&mut self, include: Option<&[String]>) -> Result<(), ApiError> {
        let Some(include) = include else { return Ok(()) };
        if include.iter().any(|name| name != LOGPROBS) {
            return Err(refuse(format!("there is nothing to include but {LOGPROBS}"), "session.include"));
        }
        self.logprobs = !include.is_empty();
        Ok(())
    }

    fn transcribe_by(&mut self, transcription: Field<Transcription>, param: &str) -> Result<(), ApiError> {
        let Some(transcription) = transcription else { return Ok(()) };
        let within = |name: &str| format!("{param}.{name}");
        let Some(Transcription { model, language, languages, prompt, keywords, delay }) = transcription else {
            return Err(refuse("a transcription session cannot do without transcription", param));
        };
        if delay.is_some_and(|delay| !delay.is_null()) {
            return Err(refuse("the delay cannot be chosen", &within("delay")));
        }
        let known = |name: &String, field: &str| {
            name.parse::<Language>().map_err(|error| refuse(error.to_string(), &within(field)))
        };
        self.model = model.unwrap_or_else(|| self.model.clone());
        // The object is taken as a whole: what it does not say is not wished for any more.
        let named = language.filter(|name| !name.is_empty());
        self.language = named.map(|name| known(&name, "language")).transpose()?;
        let several = languages.unwrap_or_default();
        self.languages = several.iter().map(|name| known(name, "languages")).collect::<Result<_, _>>()?;
        self.prompt = prompt.filter(|prompt| !prompt.trim().is_empty());
        self.keywords = keywords.unwrap_or_default();
        Ok(())
    }

    fn detect_by(&mut self, detection: Field<TurnDetection>, param: &str) -> Result<(), ApiError> {
        let Some(detection) = detection else { return Ok(()) };
        let within = |name: &str| format!("{param}.{name}");
        let Some(detection) = detection else {
            self.turns = None;
            return Ok(());
        };
        if detection.kind.as_deref().is_some_and(|kind| kind != "server_vad") || detection.eagerness.is_some() {
            return Err(refuse("turns are detected by `server_vad`, or not at all: null", &within("type")));
        }
        if detection.create_response == Some(true) || detection.interrupt_response == Some(true) {
            return Err(refuse("a transcription session has no responses", &within("create_response")));
        }
        if detection.idle_timeout_ms.is_some_and(|timeout| !timeout.is_null()) {
            return Err(refuse("there is no timeout that could be chosen", &within("idle_timeout_ms")));
        }
        let default = UtteranceOptions::default();
        let seconds = |ms: u32| f64::from(ms) / 1000.0;
        self.turns = Some(UtteranceOptions {
            threshold: detection.threshold.unwrap_or(default.threshold),
            prefix_padding: detection.prefix_padding_ms.map_or(default.prefix_padding, seconds),
            silence: detection.silence_duration_ms.map_or(default.silence, seconds),
        });
        Ok(())
    }

    /// What to make of speech.
    pub fn options(&self) -> TranscribeOptions {
        TranscribeOptions {
            language: self.language,
            languages: self.languages.clone(),
            initial_prompt: self.prompt.clone(),
            hotwords: Some(self.keywords.join(", ")).filter(|words| !words.is_empty()),
            // For turns that are committed by hand; what listens along knows them anyway.
            word_timestamps: self.logprobs,
            ..TranscribeOptions::default()
        }
    }

    /// The session as the client sees it; `id` is its own.
    pub fn shown(&self, dialect: Dialect, id: &str) -> Value {
        let turns = self.turns.map(|turns| {
            let ms = |seconds: f64| (seconds * 1000.0).round() as u64;
            json!({
                "type": "server_vad", "threshold": turns.threshold,
                "prefix_padding_ms": ms(turns.prefix_padding), "silence_duration_ms": ms(turns.silence),
            })
        });
        let mut transcription = json!({
            "model": self.model, "language": self.language.map(Language::code), "prompt": self.prompt,
        });
        if dialect == Dialect::Beta {
            let format = match self.format {
                RawFormat::MuLaw => "g711_ulaw",
                RawFormat::ALaw => "g711_alaw",
                _ => "pcm16",
            };
            return json!({
                "id": id, "object": "realtime.transcription_session", "modalities": ["text"],
                "input_audio_format": format, "input_audio_transcription": transcription, "turn_detection": turns,
                // The clients' types want one, which over this connection nobody needs.
                "client_secret": {"value": "", "expires_at": 0},
            });
        }
        if !self.keywords.is_empty() {
            transcription["keywords"] = json!(self.keywords);
        }
        if !self.languages.is_empty() {
            let codes = self.languages.iter().map(|language| language.code());
            transcription["languages"] = codes.collect::<Value>();
        }
        let format = match self.format {
            RawFormat::MuLaw => json!({"type": "audio/pcmu"}),
            RawFormat::ALaw => json!({"type": "audio/pcma"}),
            _ => json!({"type": "audio/pcm", "rate": self.rate}),
        };
        json!({
            "id": id, "object": "realtime.transcription_session", "type": "transcription",
            "audio": {"input": {
                "format": format, "noise_reduction": null, "transcription": transcription, "turn_detection": turns,
            }},
            "include": self.logprobs.then_some([LOGPROBS]),
        })
    }
}

fn refuse_noise_reduction(wanted: Option<&Value>, param: &str) -> Result<(), ApiError> {
    match wanted {
        Some(wanted) if !wanted.is_null() => {
            Err(refuse("there is no noise reduction here; the model needs none", param))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(input: &Value) -> Result<Asked, ApiError> {
        let session = json!({"type": "transcription", "audio": {"input": input}});
        Asked::new("whisper-1", true).updated(Dialect::Present, session)
    }

    #[test]
    fn what_is_not_said_stays() {
        let asked = present(&json!({"format": {"type": "audio/pcmu"}, "turn_detection": null})).unwrap();
        assert_eq!((asked.format, asked.rate, asked.turns), (RawFormat::MuLaw, 8_000, None));
        let later = asked.updated(Dialect::Present, json!({"type": "transcription"})).unwrap();
        assert_eq!(later, asked);
        let later = asked.updated(Dialect::Beta, json!({"input_audio_format": "pcm16"})).unwrap();
        assert_eq!((later.format, later.rate, later.turns), (RawFormat::S16, 24_000, None));
    }

    #[test]
    fn logprobs_are_included_until_they_are_not() {
        let asked = Asked::new("whisper-1", true);
        assert_eq!(asked.shown(Dialect::Present, "s")["include"], Value::Null);
        let asked = asked.updated(Dialect::Beta, json!({"include": [LOGPROBS]})).unwrap();
        assert!(asked.logprobs && asked.options().word_timestamps);
        assert_eq!(asked.shown(Dialect::Present, "s")["include"], json!([LOGPROBS]));
        let asked = asked.updated(Dialect::Present, json!({"type": "transcription", "include": []})).unwrap();
        assert!(!asked.logprobs);
    }

    #[test]
    fn every_field_is_taken_and_shown() {
        let transcription = json!({"model": "base", "language": "de", "prompt": "Guten Tag.", "keywords": ["Gänge"]});
        let turns =
            json!({"type": "server_vad", "threshold": 0.25, "prefix_padding_ms": 100, "silence_duration_ms": 700});
        let input = json!({"format": {"type": "audio/pcm", "rate": 16_000}, "noise_reduction": null,
            "transcription": transcription, "turn_detection": turns});
        let asked = present(&input).unwrap();
        let options = asked.options();
        assert_eq!(options.language.map(Language::code), Some("de"));
        assert_eq!(
            (options.initial_prompt.as_deref(), options.hotwords.as_deref()),
            (Some("Guten Tag."), Some("Gänge"))
        );
        assert_eq!(asked.shown(Dialect::Present, "sess_1")["audio"]["input"], input);
        let beta = asked.shown(Dialect::Beta, "sess_1");
        assert_eq!((&beta["turn_detection"], &beta["input_audio_transcription"]["model"]), (&turns, &json!("base")));
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        let refused = [
            (json!({"turn_detection": {"type": "semantic_vad"}}), "turn_detection.type"),
            (json!({"turn_detection": {"type": "server_vad", "create_response": true}}), "create_response"),
            (json!({"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}), "idle_timeout_ms"),
            (json!({"noise_reduction": {"type": "near_field"}}), "noise_reduction"),
            (json!({"transcription": null}), "transcription"),
            (json!({"transcription": {"language": "klingon"}}), "language"),
            (json!({"transcription": {"delay": "low"}}), "delay"),
            (json!({"format": {"type": "audio/pcm", "rate": 1}}), "rate"),
            (json!({"format": {"type": "audio/opus"}}), "session"),
            (json!({"fromat": null}), "session"),
        ];
        for (input, param) in refused {
            let error = present(&input).unwrap_err().body().error;
            assert!(error.param.as_deref().is_some_and(|at| at.ends_with(param)), "{input}: {error:?}");
        }
        let asked = Asked::new("whisper-1", true);
        assert!(asked.updated(Dialect::Present, json!({"type": "realtime"})).is_err());
        let tokens = json!({"type": "transcription", "include": [LOGPROBS, "tokens"]});
        assert!(asked.updated(Dialect::Present, tokens).is_err());
        assert!(asked.updated(Dialect::Beta, json!({"client_secret": {"expires_at": {}}})).is_err());
    }
}
