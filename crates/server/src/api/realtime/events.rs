//! The events of a session, both ways.

use amanuensis_transcribe::Word;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::settings::Dialect;
use crate::error::ApiError;
use crate::live::SessionEvent;

/// What a client wants.
#[derive(Debug, PartialEq)]
pub enum Wanted {
    /// Other settings, and in which form they are given.
    Update(Dialect, Value),
    /// More samples are there.
    Append(Vec<u8>),
    Commit,
    Clear,
}

/// Reads an event of a client, and its id, where it has one.
pub fn read(text: &str) -> (Result<Wanted, ApiError>, Option<String>) {
    let Ok(Value::Object(mut event)) = serde_json::from_str(text) else {
        return (Err(ApiError::invalid("an event is an object in JSON").with_code("invalid_json")), None);
    };
    let id = event.remove("event_id").and_then(|id| id.as_str().map(str::to_owned));
    (wanted(event), id)
}

fn wanted(mut event: Map<String, Value>) -> Result<Wanted, ApiError> {
    let kind = event.remove("type").and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
    let wanted = match kind.as_str() {
        "session.update" => event.remove("session").map(|session| Wanted::Update(Dialect::Present, session)),
        "transcription_session.update" => event.remove("session").map(|session| Wanted::Update(Dialect::Beta, session)),
        "input_audio_buffer.append" => {
            let audio = event.remove("audio");
            let audio = audio.as_ref().and_then(Value::as_str).map(|audio| STANDARD.decode(audio));
            let audio =
                audio.transpose().map_err(|_| ApiError::invalid("the audio is no base64").with_param("audio"))?;
            audio.map(Wanted::Append)
        }
        "input_audio_buffer.commit" => Some(Wanted::Commit),
        "input_audio_buffer.clear" => Some(Wanted::Clear),
        kind => {
            let kind: String = kind.chars().take(80).collect();
            let message = format!("a transcription session has no event {kind:?} of clients");
            return Err(ApiError::invalid(message).with_param("type"));
        }
    };
    let wanted = wanted.ok_or_else(|| ApiError::invalid(format!("the event {kind} lacks what it is about")))?;
    match event.keys().next() {
        Some(name) => Err(ApiError::invalid(format!("the event {kind} has no field {name:?}")).with_param(name)),
        None => Ok(wanted),
    }
}

/// Makes the events of a server.
pub struct Speaker {
    /// What the ids of this session begin with.
    session: String,
    dialect: Dialect,
    /// Whether the client wants to see words that may still change.
    shows_provisional: bool,
    /// Whether it wants to know how probable words are.
    shows_logprobs: bool,
    /// Events so far.
    events: u64,
    /// The text of the turn so far has begun.
    has_begun: bool,
    /// The item before the one that was committed last.
    last: Option<String>,
}

impl Speaker {
    /// Of a session with this id.
    pub fn new(session: String, dialect: Dialect, shows_provisional: bool) -> Self {
        Self { session, dialect, shows_provisional, shows_logprobs: false, events: 0, has_begun: false, last: None }
    }

    /// From now on in this form, and with the probabilities of words or without.
    pub fn speak(&mut self, dialect: Dialect, shows_logprobs: bool) {
        self.dialect = dialect;
        self.shows_logprobs = shows_logprobs;
    }

    /// The session has begun, or has other settings.
    pub fn session(&mut self, settings: &super::settings::Asked, is_new: bool) -> Value {
        let kind = match (is_new, self.dialect) {
            (true, _) => "session.created",
            (false, Dialect::Present) => "session.updated",
            (false, Dialect::Beta) => "transcription_session.updated",
        };
        let session = settings.shown(self.dialect, &format!("sess_{}", self.session));
        self.event(kind, json!({ "session": session }))
    }

    /// What a client asked for cannot be done; `cause` is the id of its event.
    pub fn error(&mut self, error: &ApiError, cause: Option<&str>) -> Value {
        let detail = error.body().error;
        self.event(
            "error",
            json!({"error": {
                "type": detail.kind, "code": detail.code, "message": detail.message, "param": detail.param,
                "event_id": cause,
            }}),
        )
    }

    /// The events for what was heard.
    pub fn events(&mut self, told: SessionEvent) -> Vec<Value> {
        match told {
            SessionEvent::SpeechStarted { utterance, at } => {
                self.has_begun = false;
                let item = self.item(utterance);
                vec![
                    self.event("input_audio_buffer.speech_started", json!({"audio_start_ms": ms(at), "item_id": item})),
                ]
            }
            SessionEvent::SpeechStopped { utterance, at } => {
                let item = self.item(utterance);
                vec![self.event("input_audio_buffer.speech_stopped", json!({"audio_end_ms": ms(at), "item_id": item}))]
            }
            SessionEvent::Committed { utterance } => self.committed(utterance),
            SessionEvent::Delta { utterance, text, words } => {
                let text = if self.has_begun { &text } else { text.trim_start() };
                self.has_begun |= !text.is_empty();
                let mut fields = json!({"item_id": self.item(utterance), "content_index": 0, "delta": text});
                self.put_logprobs(&words, &mut fields);
                vec![self.event("conversation.item.input_audio_transcription.delta", fields)]
            }
            SessionEvent::Provisional { utterance, text } if self.shows_provisional => {
                let text = if self.has_begun { &text } else { text.trim_start() };
                let fields = json!({"item_id": self.item(utterance), "content_index": 0, "text": text});
                vec![self.event("conversation.item.input_audio_transcription.provisional", fields)]
            }
            SessionEvent::Provisional { .. } => Vec::new(),
            SessionEvent::Completed { utterance, text, words, seconds, language } => {
                self.has_begun = false;
                let mut fields = json!({
                    "item_id": self.item(utterance), "content_index": 0, "transcript": text.trim_start(),
                    "usage": {"type": "duration", "seconds": (seconds * 1000.0).round() / 1000.0},
                });
                self.put_logprobs(&words, &mut fields);
                if let (Some(language), Dialect::Present) = (language, self.dialect) {
                    fields["languages"] = json!([{"code": language.code()}]);
                }
                vec![self.event("conversation.item.input_audio_transcription.completed", fields)]
            }
            SessionEvent::Failed { utterance, reason } => {
                self.has_begun = false;
                let error = ApiError::internal(reason).body().error;
                let error = json!({"type": error.kind, "code": "transcription_failed", "message": error.message, "param": null});
                let fields = json!({"item_id": self.item(utterance), "content_index": 0, "error": error});
                vec![self.event("conversation.item.input_audio_transcription.failed", fields)]
            }
            SessionEvent::NothingToCommit => {
                let error = ApiError::invalid(
                    "there is nothing to commit: less than 100 ms, or no speech, since the last turn",
                );
                vec![self.error(&error.with_code("input_audio_buffer_commit_empty"), None)]
            }
            SessionEvent::Cleared => vec![self.event("input_audio_buffer.cleared", json!({}))],
            SessionEvent::BufferFull => {
                let error =
                    ApiError::too_large("ten minutes are held, and no more until they are committed or cleared");
                vec![self.error(&error.with_code("input_audio_buffer_full"), None)]
            }
        }
    }

    /// Puts the logarithms of the probabilities of words, which stand for those of their tokens, into an event, if the client
    /// wants them.
    fn put_logprobs(&self, words: &[Word], fields: &mut Value) {
        if self.shows_logprobs {
            let logprob = |Word { word, probability, .. }: &Word| {
                // Zero has no logarithm that could be written down.
                json!({"token": word, "bytes": word.as_bytes(), "logprob": probability.max(f32::MIN_POSITIVE).ln()})
            };
            fields["logprobs"] = words.iter().map(logprob).collect();
        }
    }

    fn committed(&mut self, utterance: u64) -> Vec<Value> {
        let item = self.item(utterance);
        let before = self.last.replace(item.clone());
        let message = json!({
            "id": item, "object": "realtime.item", "type": "message", "status": "completed", "role": "user",
            "content": [{"type": "input_audio", "transcript": null}],
        });
        let place = json!({"previous_item_id": before, "item": message});
        let mut events =
            vec![self.event("input_audio_buffer.committed", json!({"item_id": item, "previous_item_id": before}))];
        events.extend(match self.dialect {
            Dialect::Beta => vec![self.event("conversation.item.created", place)],
            Dialect::Present => {
                vec![self.event("conversation.item.added", place.clone()), self.event("conversation.item.done", place)]
            }
        });
        events
    }

    fn item(&self, utterance: u64) -> String {
        format!("item_{}_{utterance}", self.session)
    }

    fn event(&mut self, kind: &str, mut fields: Value) -> Value {
        self.events += 1;
        fields["type"] = kind.into();
        fields["event_id"] = format!("event_{}_{}", self.session, self.events).into();
        fields
    }
}

fn ms(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_clients_are_read() {
        let wanted = |text: &str| read(text).0.unwrap();
        assert_eq!(wanted(r#"{"type": "input_audio_buffer.append", "audio": "AAEC"}"#), Wanted::Append(vec![0, 1, 2]));
        let (commit, id) = read(r#"{"type": "input_audio_buffer.commit", "event_id": "mine"}"#);
        assert_eq!((commit.unwrap(), id.as_deref()), (Wanted::Commit, Some("mine")));
        let update = wanted(r#"{"type": "transcription_session.update", "session": {}}"#);
        assert_eq!(update, Wanted::Update(Dialect::Beta, json!({})));
    }

    #[test]
    fn nonsense_is_refused() {
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
            let error = read(text).0.unwrap_err();
            assert_eq!(error.body().error.param.as_deref(), param, "{text}");
        }
        assert_eq!(read(r#"{"type": "x", "event_id": "e"}"#).1.as_deref(), Some("e"));
    }

    #[test]
    fn deltas_joined_are_the_transcript() {
        let mut speaker = Speaker::new("s".to_owned(), Dialect::Present, false);
        let mut kinds = Vec::new();
        let (mut deltas, mut transcript) = (String::new(), String::new());
        for told in [
            SessionEvent::SpeechStarted { utterance: 1, at: 0.25 },
            SessionEvent::Delta { utterance: 1, text: " Ask".to_owned(), words: Vec::new() },
            SessionEvent::Provisional { utterance: 1, text: " what".to_owned() },
            SessionEvent::SpeechStopped { utterance: 1, at: 1.5 },
            SessionEvent::Committed { utterance: 1 },
            SessionEvent::Delta { utterance: 1, text: " not.".to_owned(), words: Vec::new() },
            SessionEvent::Completed {
                utterance: 1,
                text: " Ask not.".to_owned(),
                words: Vec::new(),
                seconds: 1.25,
                language: Some("en".parse().unwrap()),
            },
        ] {
            for event in speaker.events(told) {
                kinds.push(event["type"].as_str().unwrap().rsplit('.').next().unwrap().to_owned());
                deltas += event["delta"].as_str().unwrap_or_default();
                transcript += event["transcript"].as_str().unwrap_or_default();
            }
        }
        assert_eq!((deltas.as_str(), transcript.as_str()), ("Ask not.", "Ask not."));
        let expected =
            ["speech_started", "delta", "speech_stopped", "committed", "added", "done", "delta", "completed"];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn who_asks_is_told_how_probable_words_are() {
        let mut speaker = Speaker::new("s".to_owned(), Dialect::Present, false);
        let said = || SessionEvent::Delta {
            utterance: 1,
            text: " Ja".to_owned(),
            words: vec![Word { word: " Ja".to_owned(), start: 0.5, end: 0.75, probability: 0.5 }],
        };
        assert_eq!(speaker.events(said())[0].get("logprobs"), None);
        speaker.speak(Dialect::Present, true);
        let logprobs = &speaker.events(said())[0]["logprobs"];
        assert_eq!((&logprobs[0]["token"], &logprobs[0]["bytes"]), (&json!(" Ja"), &json!([32, 74, 97])));
        assert!((logprobs[0]["logprob"].as_f64().unwrap() - 0.5_f64.ln()).abs() < 1e-6, "{logprobs}");
    }

    #[test]
    fn items_follow_one_another() {
        let mut speaker = Speaker::new("s".to_owned(), Dialect::Beta, true);
        let first = speaker.events(SessionEvent::Committed { utterance: 1 });
        assert_eq!(
            (&first[0]["previous_item_id"], &first[1]["type"]),
            (&Value::Null, &json!("conversation.item.created"))
        );
        let second = speaker.events(SessionEvent::Committed { utterance: 2 });
        assert_eq!(second[0]["previous_item_id"], first[0]["item_id"]);
        assert_eq!(speaker.events(SessionEvent::Provisional { utterance: 3, text: " A".to_owned() })[0]["text"], "A");
    }
}
