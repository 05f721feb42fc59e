//! `stream=true`: the text as it is found, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amanuensis_transcribe::{Language, Transcriber, Transcript};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Serialize;

use super::answer::{Code, Logprob, Parts, codes, logprobs};
use crate::error::ApiError;
use crate::state::AppState;
use crate::work::{Failure, Heard, Running};

/// An event, as `OpenAI`'s clients have it.
#[derive(Serialize)]
#[serde(tag = "type")]
enum Told {
    #[serde(rename = "transcript.text.delta")]
    Delta {
        delta: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        logprobs: Option<Vec<Logprob>>,
    },
    #[serde(rename = "transcript.text.done")]
    Done {
        text: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        languages: Option<Vec<Code>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        logprobs: Option<Vec<Logprob>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
    },
}

struct Stream {
    state: Arc<AppState>,
    running: Running,
    transcriber: Arc<Transcriber>,
    parts: Parts,
    start: Instant,
    /// What has been told, and blanks that may come before more of it.
    text: String,
    blanks: String,
    logprobs: Vec<Logprob>,
    language: Option<Language>,
    has_ended: bool,
}

/// Answers with the events of a transcription. When the client goes, it ends.
pub fn answer(state: &Arc<AppState>, running: Running, transcriber: Arc<Transcriber>, parts: Parts) -> Response {
    let stream = Stream {
        state: Arc::clone(state),
        running,
        transcriber,
        parts,
        start: Instant::now(),
        text: String::new(),
        blanks: String::new(),
        logprobs: Vec::new(),
        language: None,
        has_ended: false,
    };
    let events = unfold(stream, |mut stream| async {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

impl Stream {
    async fn next(&mut self) -> Option<Event> {
        while !self.has_ended {
            match self.running.next().await {
                Some(Heard::Language(language)) => self.language = Some(language),
                Some(Heard::Segment(segment)) => {
                    let delta = self.delta(&segment.text);
                    let logprobs = self.parts.logprobs.then(|| logprobs(&[segment], &self.transcriber));
                    self.logprobs.extend(logprobs.clone().unwrap_or_default());
                    if !delta.is_empty() {
                        return Some(event(&Told::Delta { delta, logprobs }));
                    }
                }
                Some(Heard::Ended(end)) => return Some(self.end(end)),
                None => return Some(self.end(Err(Failure::Transcribe(amanuensis_transcribe::Error::Stopped)))),
            }
        }
        None
    }

    /// What a segment adds to the text, which neither begins nor ends with a blank.
    fn delta(&mut self, text: &str) -> String {
        let text = if self.text.is_empty() { text.trim_start() } else { text };
        let said = text.trim_end();
        if said.is_empty() {
            self.blanks.push_str(text);
            return String::new();
        }
        let delta = std::mem::take(&mut self.blanks) + said;
        text[said.len()..].clone_into(&mut self.blanks);
        self.text.push_str(&delta);
        delta
    }

    fn end(&mut self, end: Result<Transcript, Failure>) -> Event {
        self.has_ended = true;
        match end {
            Ok(transcript) => {
                self.state.metrics.transcribed(transcript.duration, self.start.elapsed().as_secs_f64());
                event(&Told::Done {
                    text: std::mem::take(&mut self.text),
                    languages: self.parts.languages.then(|| codes(self.language)),
                    logprobs: self.parts.logprobs.then(|| std::mem::take(&mut self.logprobs)),
                    warnings: transcript.warnings,
                })
            }
            Err(failure) => event(&ApiError::from(failure).body()),
        }
    }
}

fn event(content: &impl Serialize) -> Event {
    Event::default().json_data(content).expect("texts and numbers are JSON")
}
