//! The JSON object that describes a session in the events `session.created` and `session.updated`.

use amanuensis_transcribe::{Language, RawFormat, UtteranceOptions};
use serde_json::{Value, json};

use super::session_params::SessionParams;
use super::wire::{Dialect, LOGPROBS};

/// The session object with the settings `params`, in the format of this dialect of the API.
pub fn session_object(params: &SessionParams, dialect: Dialect, id: &str) -> Value {
    match dialect {
        Dialect::Current => current_object(params, id),
        Dialect::Beta => beta_object(params, id),
    }
}

fn current_object(params: &SessionParams, id: &str) -> Value {
    let mut transcription = transcription(params);
    if !params.decoding.keywords.is_empty() {
        transcription["keywords"] = json!(params.decoding.keywords);
    }
    let languages = &params.decoding.options.languages;
    if !languages.is_empty() {
        transcription["languages"] = languages.iter().map(|language| language.code()).collect();
    }
    let format = match params.audio.format {
        RawFormat::MuLaw => json!({"type": "audio/pcmu"}),
        RawFormat::ALaw => json!({"type": "audio/pcma"}),
        _ => json!({"type": "audio/pcm", "rate": params.audio.rate_hz}),
    };
    json!({
        "id": id, "object": "realtime.transcription_session", "type": "transcription",
        "audio": {"input": {
            "format": format, "noise_reduction": null, "transcription": transcription,
            "turn_detection": params.utterances.map(turn_detection),
        }},
        "include": params.logprobs.then_some([LOGPROBS]),
    })
}

fn beta_object(params: &SessionParams, id: &str) -> Value {
    let format = match params.audio.format {
        RawFormat::MuLaw => "g711_ulaw",
        RawFormat::ALaw => "g711_alaw",
        _ => "pcm16",
    };
    json!({
        "id": id, "object": "realtime.transcription_session", "modalities": ["text"],
        "input_audio_format": format, "input_audio_transcription": transcription(params),
        "turn_detection": params.utterances.map(turn_detection),
        // `OpenAI`'s client libraries require this field. The secret is empty, because the WebSocket is already open
        // and needs none.
        "client_secret": {"value": "", "expires_at": 0},
    })
}

/// The members of the object `transcription` that both dialects (versions) of the API have.
fn transcription(params: &SessionParams) -> Value {
    let options = &params.decoding.options;
    json!({
        "model": params.model, "language": options.language.map(Language::code), "prompt": options.initial_prompt,
    })
}

fn turn_detection(options: UtteranceOptions) -> Value {
    let ms = |seconds: f64| (seconds * 1000.0).round() as u64;
    json!({
        "type": "server_vad", "threshold": options.threshold,
        "prefix_padding_ms": ms(options.prefix_padding), "silence_duration_ms": ms(options.silence),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_shows_every_setting_of_an_update() {
        let transcription = json!({"model": "base", "language": "de", "prompt": "Guten Tag.", "keywords": ["Gänge"]});
        let detection =
            json!({"type": "server_vad", "threshold": 0.25, "prefix_padding_ms": 100, "silence_duration_ms": 700});
        let input = json!({"format": {"type": "audio/pcm", "rate": 16_000}, "noise_reduction": null,
            "transcription": transcription, "turn_detection": detection});
        let session = json!({"type": "transcription", "include": [LOGPROBS], "audio": {"input": input}});
        let params = SessionParams::new("whisper-1", true).updated(Dialect::Current, session).unwrap();
        let current = session_object(&params, Dialect::Current, "sess_1");
        assert_eq!((&current["audio"]["input"], &current["include"]), (&input, &json!([LOGPROBS])));
        let beta = session_object(&params, Dialect::Beta, "sess_1");
        assert_eq!(beta["turn_detection"], detection);
        assert_eq!(beta["input_audio_transcription"]["model"], "base");
    }

    #[test]
    fn a_new_session_includes_nothing() {
        let params = SessionParams::new("whisper-1", true);
        assert_eq!(session_object(&params, Dialect::Current, "s")["include"], Value::Null);
    }

    #[test]
    fn candidate_languages_are_listed() {
        let input = json!({"input_audio_transcription": {"languages": ["German", "fr"]}});
        let params = SessionParams::new("whisper-1", false).updated(Dialect::Beta, input).unwrap();
        let current = session_object(&params, Dialect::Current, "s");
        assert_eq!(current["audio"]["input"]["transcription"]["languages"], json!(["de", "fr"]));
        assert_eq!(current["audio"]["input"]["turn_detection"], Value::Null);
    }
}
