//! The events that the server sends over the WebSocket.

use amanuensis_transcribe::{Language, Word};
use serde_json::{Value, json};

use super::session_object::session_object;
use super::session_params::SessionParams;
use super::wire::Dialect;
use crate::error::ApiError;
use crate::live::SessionEvent;

/// Converts the events of a live session to events of `OpenAI`'s API. That API calls an utterance an item.
pub struct EventWriter {
    /// The session's id. It is part of the ids of items and events.
    session_id: String,
    dialect: Dialect,
    /// Whether the client wants words that may still change.
    shows_provisional: bool,
    /// Whether the client wants the log-probabilities of words.
    shows_logprobs: bool,
    /// The number of events that have been written.
    n_events: u64,
    /// Whether a piece of text (a delta) of the current utterance has already been sent. The leading space is removed
    /// only from the first piece.
    has_text: bool,
    /// The id of the item that was committed most recently. `None` if no item has been committed yet.
    last_item: Option<String>,
}

impl EventWriter {
    /// A writer for a session that has just been opened.
    pub fn new(session_id: String, dialect: Dialect, shows_provisional: bool) -> Self {
        let (shows_logprobs, n_events, has_text, last_item) = (false, 0, false, None);
        Self { session_id, dialect, shows_provisional, shows_logprobs, n_events, has_text, last_item }
    }

    /// Sets the dialect of all later events, and whether they contain log-probabilities.
    pub fn configure(&mut self, dialect: Dialect, shows_logprobs: bool) {
        self.dialect = dialect;
        self.shows_logprobs = shows_logprobs;
    }

    /// The event that tells the client the settings of its session. `is_new` distinguishes a new session from a
    /// session whose settings have changed.
    pub fn session(&mut self, params: &SessionParams, is_new: bool) -> Value {
        let kind = match (is_new, self.dialect) {
            (true, _) => "session.created",
            (false, Dialect::Current) => "session.updated",
            (false, Dialect::Beta) => "transcription_session.updated",
        };
        let session = session_object(params, self.dialect, &format!("sess_{}", self.session_id));
        self.event(kind, json!({ "session": session }))
    }

    /// The event that reports an error. `client_event` is the id of the client event that caused the error.
    pub fn error(&mut self, error: &ApiError, client_event: Option<&str>) -> Value {
        let detail = error.body().error;
        self.event(
            "error",
            json!({"error": {
                "type": detail.kind, "code": detail.code, "message": detail.message, "param": detail.param,
                "event_id": client_event,
            }}),
        )
    }

    /// Converts an event of the live session to the events for the client.
    pub fn events(&mut self, event: SessionEvent) -> Vec<Value> {
        match event {
            SessionEvent::SpeechStarted { utterance, at } => {
                self.has_text = false;
                let fields = json!({"audio_start_ms": ms(at), "item_id": self.item(utterance)});
                vec![self.event("input_audio_buffer.speech_started", fields)]
            }
            SessionEvent::SpeechStopped { utterance, at } => {
                let fields = json!({"audio_end_ms": ms(at), "item_id": self.item(utterance)});
                vec![self.event("input_audio_buffer.speech_stopped", fields)]
            }
            SessionEvent::Committed { utterance } => self.committed(utterance),
            SessionEvent::Delta { utterance, text, words } => vec![self.delta(utterance, &text, &words)],
            SessionEvent::Provisional { utterance, text } if self.shows_provisional => {
                let text = self.trim_first(&text);
                let fields = json!({"item_id": self.item(utterance), "content_index": 0, "text": text});
                vec![self.event("conversation.item.input_audio_transcription.provisional", fields)]
            }
            SessionEvent::Provisional { .. } => Vec::new(),
            SessionEvent::Completed { utterance, text, words, seconds, language } => {
                vec![self.completed(utterance, &text, &words, seconds, language)]
            }
            SessionEvent::Failed { utterance, reason } => vec![self.failed(utterance, reason)],
            SessionEvent::NothingToCommit => {
                let message = "the buffer has less than 100 ms of audio, or no speech since the last utterance";
                let error = ApiError::invalid(message).with_code("input_audio_buffer_commit_empty");
                vec![self.error(&error, None)]
            }
            SessionEvent::Cleared => vec![self.event("input_audio_buffer.cleared", json!({}))],
            SessionEvent::BufferFull => {
                let message = "the buffer is full: it holds ten minutes of audio; commit or clear it";
                let error = ApiError::too_large(message).with_code("input_audio_buffer_full");
                vec![self.error(&error, None)]
            }
        }
    }

    fn delta(&mut self, utterance: u64, text: &str, words: &[Word]) -> Value {
        let text = self.trim_first(text);
        self.has_text |= !text.is_empty();
        let mut fields = json!({"item_id": self.item(utterance), "content_index": 0, "delta": text});
        self.add_logprobs(words, &mut fields);
        self.event("conversation.item.input_audio_transcription.delta", fields)
    }

    fn completed(
        &mut self,
        utterance: u64,
        text: &str,
        words: &[Word],
        seconds: f64,
        language: Option<Language>,
    ) -> Value {
        self.has_text = false;
        let mut fields = json!({
            "item_id": self.item(utterance), "content_index": 0, "transcript": text.trim_start(),
            "usage": {"type": "duration", "seconds": (seconds * 1000.0).round() / 1000.0},
        });
        self.add_logprobs(words, &mut fields);
        if let (Some(language), Dialect::Current) = (language, self.dialect) {
            fields["languages"] = json!([{"code": language.code()}]);
        }
        self.event("conversation.item.input_audio_transcription.completed", fields)
    }

    fn failed(&mut self, utterance: u64, reason: String) -> Value {
        self.has_text = false;
        let error = ApiError::internal(reason).body().error;
        let error =
            json!({"type": error.kind, "code": "transcription_failed", "message": error.message, "param": null});
        let fields = json!({"item_id": self.item(utterance), "content_index": 0, "error": error});
        self.event("conversation.item.input_audio_transcription.failed", fields)
    }

    fn committed(&mut self, utterance: u64) -> Vec<Value> {
        let item = self.item(utterance);
        let previous = self.last_item.replace(item.clone());
        let message = json!({
            "id": item, "object": "realtime.item", "type": "message", "status": "completed", "role": "user",
            "content": [{"type": "input_audio", "transcript": null}],
        });
        let added = json!({"previous_item_id": previous, "item": message});
        let committed = json!({"item_id": item, "previous_item_id": previous});
        let mut events = vec![self.event("input_audio_buffer.committed", committed)];
        match self.dialect {
            Dialect::Current => {
                events.push(self.event("conversation.item.added", added.clone()));
                events.push(self.event("conversation.item.done", added));
            }
            Dialect::Beta => events.push(self.event("conversation.item.created", added)),
        }
        events
    }

    /// Adds the log-probabilities of `words` to the fields of an event, but only if the client wants them. In
    /// `OpenAI`'s API each entry is a token. Here each entry is a word.
    fn add_logprobs(&self, words: &[Word], fields: &mut Value) {
        if self.shows_logprobs {
            let logprob = |Word { word, probability, .. }: &Word| {
                // Replace the probability 0 by the smallest positive number: the logarithm of 0 is infinite, which
                // JSON cannot represent.
                json!({"token": word, "bytes": word.as_bytes(), "logprob": probability.max(f32::MIN_POSITIVE).ln()})
            };
            fields["logprobs"] = words.iter().map(logprob).collect();
        }
    }

    /// Removes the leading space of `text` if no text of this utterance has been sent yet.
    fn trim_first<'a>(&self, text: &'a str) -> &'a str {
        if self.has_text { text } else { text.trim_start() }
    }

    fn item(&self, utterance: u64) -> String {
        format!("item_{}_{utterance}", self.session_id)
    }

    fn event(&mut self, kind: &str, mut fields: Value) -> Value {
        self.n_events += 1;
        fields["type"] = kind.into();
        fields["event_id"] = format!("event_{}_{}", self.session_id, self.n_events).into();
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
    fn joined_deltas_are_the_transcript() {
        let mut writer = EventWriter::new("s".to_owned(), Dialect::Current, false);
        let mut kinds = Vec::new();
        let (mut deltas, mut transcript) = (String::new(), String::new());
        for event in [
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
            for event in writer.events(event) {
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
    fn logprobs_are_sent_only_if_requested() {
        let mut writer = EventWriter::new("s".to_owned(), Dialect::Current, false);
        let delta = || SessionEvent::Delta {
            utterance: 1,
            text: " Ja".to_owned(),
            words: vec![Word { word: " Ja".to_owned(), start: 0.5, end: 0.75, probability: 0.5 }],
        };
        assert_eq!(writer.events(delta())[0].get("logprobs"), None);
        writer.configure(Dialect::Current, true);
        let logprobs = &writer.events(delta())[0]["logprobs"];
        assert_eq!((&logprobs[0]["token"], &logprobs[0]["bytes"]), (&json!(" Ja"), &json!([32, 74, 97])));
        assert!((logprobs[0]["logprob"].as_f64().unwrap() - 0.5_f64.ln()).abs() < 1e-6, "{logprobs}");
    }

    #[test]
    fn each_item_names_the_previous_one() {
        let mut writer = EventWriter::new("s".to_owned(), Dialect::Beta, true);
        let first = writer.events(SessionEvent::Committed { utterance: 1 });
        let expected = (&Value::Null, &json!("conversation.item.created"));
        assert_eq!((&first[0]["previous_item_id"], &first[1]["type"]), expected);
        let second = writer.events(SessionEvent::Committed { utterance: 2 });
        assert_eq!(second[0]["previous_item_id"], first[0]["item_id"]);
        let provisional = SessionEvent::Provisional { utterance: 3, text: " A".to_owned() };
        assert_eq!(writer.events(provisional)[0]["text"], "A");
    }
}
