//! The settings of a live session in `OpenAI`'s format, and how session updates change them.

use amanuensis_transcribe::{TranscribeOptions, UtteranceOptions};
use serde_json::Value;

use super::wire::{AudioFormat, Dialect, LOGPROBS, SessionUpdate, Transcription, TurnDetection, is_set, param_error};
use crate::api::form::decoding_options::{DecodingParams, Endpoint};
use crate::error::ApiError;

/// The settings of a live session.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionParams {
    /// The model's name as the client sent it.
    pub model: String,
    pub audio: AudioFormat,
    /// How utterances are detected. `None` if the client commits utterances itself.
    pub utterances: Option<UtteranceOptions>,
    pub decoding: DecodingParams,
    /// Whether the events to the client include the log-probabilities of words.
    pub logprobs: bool,
}

impl SessionParams {
    /// The settings of a new session. If `detects_utterances` is false, the client must commit utterances itself.
    pub fn new(model: &str, detects_utterances: bool) -> Self {
        Self {
            model: model.to_owned(),
            audio: AudioFormat::DEFAULT,
            utterances: detects_utterances.then(UtteranceOptions::default),
            decoding: DecodingParams::default(),
            logprobs: false,
        }
    }

    /// Returns these settings with the changes of the session update `session`. Fields that are missing in the update
    /// keep their values.
    ///
    /// # Errors
    /// An [`ApiError`] with status 400 that names the invalid field.
    pub fn updated(&self, dialect: Dialect, session: Value) -> Result<Self, ApiError> {
        let update = SessionUpdate::parse(dialect, session)?;
        let mut params = self.clone();
        if let Some(include) = update.include {
            params.set_include(&include)?;
        }
        if let Some(audio) = update.audio {
            params.audio = audio;
        }
        if let Some(transcription) = update.transcription {
            params.set_transcription(transcription, update.transcription_param)?;
        }
        if let Some(detection) = update.turn_detection {
            params.utterances =
                detection.map(|detection| utterance_options(&detection, update.turn_detection_param)).transpose()?;
        }
        Ok(params)
    }

    fn set_include(&mut self, include: &[String]) -> Result<(), ApiError> {
        if include.iter().any(|name| name != LOGPROBS) {
            return Err(param_error(format!("only {LOGPROBS} can be included"), "session.include"));
        }
        self.logprobs = !include.is_empty();
        Ok(())
    }

    /// Sets the model and the decoding options. Options that are missing in `transcription` get their default values,
    /// because clients always send the whole object.
    fn set_transcription(&mut self, transcription: Option<Transcription>, param: &str) -> Result<(), ApiError> {
        let Some(mut transcription) = transcription else {
            return Err(param_error("transcription sessions need `transcription`", param));
        };
        if is_set(transcription.delay.as_ref()) {
            return Err(param_error("`delay` is not supported", &format!("{param}.delay")));
        }
        if let Some(model) = transcription.model.take() {
            self.model = model;
        }
        self.decoding = DecodingParams::read(&mut transcription, Endpoint::Realtime).map_err(|error| {
            let name = error.body().error.param.unwrap_or_default();
            error.with_param(format!("{param}.{name}"))
        })?;
        Ok(())
    }

    /// The options for transcribing the session's audio.
    pub fn options(&self) -> TranscribeOptions {
        // Detected utterances always have word probabilities. An utterance that the client commits has them only if
        // word timestamps are requested.
        TranscribeOptions { word_timestamps: self.logprobs, ..self.decoding.options.clone() }
    }
}

fn utterance_options(detection: &TurnDetection, param: &str) -> Result<UtteranceOptions, ApiError> {
    let within = |name: &str| format!("{param}.{name}");
    if detection.kind.as_deref().is_some_and(|kind| kind != "server_vad") || detection.eagerness.is_some() {
        return Err(param_error("the type of turn detection must be `server_vad`", &within("type")));
    }
    if detection.create_response == Some(true) || detection.interrupt_response == Some(true) {
        return Err(param_error("transcription sessions have no responses", &within("create_response")));
    }
    if is_set(detection.idle_timeout_ms.as_ref()) {
        return Err(param_error("`idle_timeout_ms` is not supported", &within("idle_timeout_ms")));
    }
    let default = UtteranceOptions::default();
    let seconds = |ms: u32| f64::from(ms) / 1000.0;
    Ok(UtteranceOptions {
        threshold: detection.threshold.unwrap_or(default.threshold),
        prefix_padding: detection.prefix_padding_ms.map_or(default.prefix_padding, seconds),
        silence: detection.silence_duration_ms.map_or(default.silence, seconds),
    })
}

#[cfg(test)]
mod tests {
    use amanuensis_transcribe::{Language, RawFormat};
    use serde_json::json;

    use super::*;

    /// The settings of a new session after a session update with this `audio.input` object.
    fn updated(input: &Value) -> Result<SessionParams, ApiError> {
        let session = json!({"type": "transcription", "audio": {"input": input}});
        SessionParams::new("whisper-1", true).updated(Dialect::Current, session)
    }

    fn audio(params: &SessionParams) -> (RawFormat, u32) {
        (params.audio.format, params.audio.rate_hz)
    }

    #[test]
    fn missing_fields_keep_their_values() {
        let params = updated(&json!({"format": {"type": "audio/pcmu"}, "turn_detection": null})).unwrap();
        assert_eq!((audio(&params), params.utterances), ((RawFormat::MuLaw, 8_000), None));
        let same = params.updated(Dialect::Current, json!({"type": "transcription"})).unwrap();
        assert_eq!(same, params);
        let changed = params.updated(Dialect::Beta, json!({"input_audio_format": "pcm16"})).unwrap();
        assert_eq!((audio(&changed), changed.utterances), ((RawFormat::S16, 24_000), None));
    }

    #[test]
    fn including_logprobs_requests_word_timestamps() {
        let params = SessionParams::new("whisper-1", true);
        let params = params.updated(Dialect::Beta, json!({"include": [LOGPROBS]})).unwrap();
        assert!(params.logprobs && params.options().word_timestamps);
        let params = params.updated(Dialect::Current, json!({"type": "transcription", "include": []})).unwrap();
        assert!(!params.logprobs && !params.options().word_timestamps);
    }

    #[test]
    fn transcription_replaces_all_decoding_options() {
        let transcription = json!({"model": "base", "language": "de", "prompt": "Guten Tag.", "keywords": ["Gänge"]});
        let params = updated(&json!({"transcription": transcription})).unwrap();
        let options = params.options();
        assert_eq!((params.model.as_str(), options.language.map(Language::code)), ("base", Some("de")));
        assert_eq!(options.initial_prompt.as_deref(), Some("Guten Tag."));
        assert_eq!(options.hotwords.as_deref(), Some("Gänge"));
        let input = json!({"type": "transcription", "audio": {"input": {"transcription": {}}}});
        let params = params.updated(Dialect::Current, input).unwrap();
        assert_eq!((params.model.as_str(), params.options()), ("base", TranscribeOptions::default()));
    }

    #[test]
    fn unsupported_and_invalid_settings_are_rejected() {
        let rejected = [
            (json!({"turn_detection": {"type": "semantic_vad"}}), "turn_detection.type"),
            (json!({"turn_detection": {"type": "server_vad", "create_response": true}}), "create_response"),
            (json!({"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}), "idle_timeout_ms"),
            (json!({"noise_reduction": {"type": "near_field"}}), "noise_reduction"),
            (json!({"transcription": null}), "transcription"),
            (json!({"transcription": {"language": "klingon"}}), "session.audio.input.transcription.language"),
            (json!({"transcription": {"languages": ["klingon"]}}), "transcription.languages"),
            (json!({"transcription": {"delay": "low"}}), "delay"),
            (json!({"format": {"type": "audio/pcm", "rate": 1}}), "rate"),
            (json!({"format": {"type": "audio/opus"}}), "session"),
            (json!({"fromat": null}), "session"),
        ];
        for (input, param) in rejected {
            let error = updated(&input).unwrap_err().body().error;
            assert!(error.param.as_deref().is_some_and(|at| at.ends_with(param)), "{input}: {error:?}");
        }
        let params = SessionParams::new("whisper-1", true);
        assert!(params.updated(Dialect::Current, json!({"type": "realtime"})).is_err());
        let tokens = json!({"type": "transcription", "include": [LOGPROBS, "tokens"]});
        assert!(params.updated(Dialect::Current, tokens).is_err());
        assert!(params.updated(Dialect::Beta, json!({"client_secret": {"expires_at": {}}})).is_err());
    }
}
