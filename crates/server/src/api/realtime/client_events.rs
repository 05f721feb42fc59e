//! The events that clients send over the WebSocket.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::wire::Dialect;
use crate::error::ApiError;

/// An event from the client of a live session.
#[derive(Debug, PartialEq)]
pub enum ClientEvent {
    /// Change the session's settings. The first value is the version (dialect) of `OpenAI`'s API that the client
    /// uses. The second value has the new settings in the JSON format of this version.
    Update(Dialect, Value),
    /// Append these bytes of audio to the input buffer.
    Append(Vec<u8>),
    /// Treat the audio in the input buffer as a complete utterance, and transcribe it.
    Commit,
    /// Discard the audio in the input buffer.
    Clear,
}

/// Parses an event. Also returns the id that the client gave the event, or `None` if there is none.
pub fn parse(text: &str) -> (Result<ClientEvent, ApiError>, Option<String>) {
    let Ok(Value::Object(mut event)) = serde_json::from_str(text) else {
        return (Err(ApiError::invalid("an event must be a JSON object").with_code("invalid_json")), None);
    };
    let id = event.remove("event_id").and_then(|id| id.as_str().map(str::to_owned));
    (parse_object(event), id)
}

fn parse_object(mut event: Map<String, Value>) -> Result<ClientEvent, ApiError> {
    let kind = event.remove("type").and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
    let parsed = match kind.as_str() {
        "session.update" => event.remove("session").map(|session| ClientEvent::Update(Dialect::Current, session)),
        "transcription_session.update" => {
            event.remove("session").map(|session| ClientEvent::Update(Dialect::Beta, session))
        }
        "input_audio_buffer.append" => {
            let audio = event.remove("audio");
            let audio = audio.as_ref().and_then(Value::as_str).map(|audio| STANDARD.decode(audio));
            let error = |_| ApiError::invalid("the audio is not valid base64").with_param("audio");
            audio.transpose().map_err(error)?.map(ClientEvent::Append)
        }
        "input_audio_buffer.commit" => Some(ClientEvent::Commit),
        "input_audio_buffer.clear" => Some(ClientEvent::Clear),
        kind => {
            let kind: String = kind.chars().take(80).collect();
            let message = format!("transcription sessions do not support client events of the type {kind:?}");
            return Err(ApiError::invalid(message).with_param("type"));
        }
    };
    let parsed = parsed.ok_or_else(|| ApiError::invalid(format!("the event {kind} lacks a required field")))?;
    match event.keys().next() {
        Some(name) => Err(ApiError::invalid(format!("the event {kind} has no field {name:?}")).with_param(name)),
        None => Ok(parsed),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_event_is_parsed() {
        let event = |text: &str| parse(text).0.unwrap();
        let append = event(r#"{"type": "input_audio_buffer.append", "audio": "AAEC"}"#);
        assert_eq!(append, ClientEvent::Append(vec![0, 1, 2]));
        let (commit, id) = parse(r#"{"type": "input_audio_buffer.commit", "event_id": "mine"}"#);
        assert_eq!((commit.unwrap(), id.as_deref()), (ClientEvent::Commit, Some("mine")));
        let update = event(r#"{"type": "transcription_session.update", "session": {}}"#);
        assert_eq!(update, ClientEvent::Update(Dialect::Beta, json!({})));
    }

    #[test]
    fn invalid_events_are_rejected() {
        for (text, param) in [
            ("", None),
            ("[]", None),
            ("{}", Some("type")),
            (r#"{"type": "response.create"}"#, Some("type")),
            (r#"{"type": "session.update"}"#, None),
            (r#"{"type": "input_audio_buffer.append", "audio": "?"}"#, Some("audio")),
            (r#"{"type": "input_audio_buffer.append"}"#, None),
            (r#"{"type": "input_audio_buffer.clear", "all": true}"#, Some("all")),
        ] {
            let error = parse(text).0.unwrap_err();
            assert_eq!(error.body().error.param.as_deref(), param, "{text}");
        }
        assert_eq!(parse(r#"{"type": "x", "event_id": "e"}"#).1.as_deref(), Some("e"));
    }
}
