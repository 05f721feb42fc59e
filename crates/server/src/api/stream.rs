//! `stream=true`: the text as it is found, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amanuensis_transcribe::{Language, Transcriber, Transcript};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt, unfold};
use serde::Serialize;
use tokio::time::timeout;

use super::answer::{Code, Logprob, Parts, codes, logprobs};
use crate::error::ApiError;
use crate::state::AppState;
use crate::transcription::{RunningTranscription, TranscriptionError, TranscriptionEvent};

/// How long a stream may say nothing, for those between the client and the server who would think it dead.
const SILENCE: Duration = Duration::from_secs(15);

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
    running: RunningTranscription,
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
///
/// # Errors
/// That of a transcription which fails before anything was said, and soon.
pub async fn answer(
    state: &Arc<AppState>,
    running: RunningTranscription,
    transcriber: Arc<Transcriber>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let mut stream = Stream {
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
    // Once the stream has begun it has the status 200, whatever comes of it.
    let first = timeout(SILENCE, stream.next()).await.unwrap_or_default().transpose()?;
    let further = unfold(stream, |mut stream| async {
        let next = stream.next().await?;
        Some((next.unwrap_or_else(|error| event(&error.body())), stream))
    });
    let events = stream::iter(first).chain(further).map(Ok::<_, Infallible>);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(SILENCE)).into_response())
}

impl Stream {
    async fn next(&mut self) -> Option<Result<Event, ApiError>> {
        while !self.has_ended {
            match self.running.next().await {
                Some(TranscriptionEvent::Language(language)) => self.language = Some(language),
                Some(TranscriptionEvent::Segment(segment)) => {
                    let delta = self.delta(&segment.text);
                    let logprobs = self.parts.logprobs.then(|| logprobs(&[segment], &self.transcriber));
                    self.logprobs.extend(logprobs.clone().unwrap_or_default());
                    if !delta.is_empty() {
                        return Some(Ok(event(&Told::Delta { delta, logprobs })));
                    }
                }
                Some(TranscriptionEvent::Finished(end)) => return Some(self.end(end)),
                None => {
                    return Some(self.end(Err(TranscriptionError::Transcribe(amanuensis_transcribe::Error::Stopped))));
                }
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

    fn end(&mut self, end: Result<Transcript, TranscriptionError>) -> Result<Event, ApiError> {
        self.has_ended = true;
        let transcript = end?;
        self.state.metrics.record_transcription(transcript.duration, self.start.elapsed().as_secs_f64());
        Ok(event(&Told::Done {
            text: std::mem::take(&mut self.text),
            languages: self.parts.languages.then(|| codes(self.language)),
            logprobs: self.parts.logprobs.then(|| std::mem::take(&mut self.logprobs)),
            warnings: transcript.warnings,
        }))
    }
}

fn event(content: &impl Serialize) -> Event {
    Event::default().json_data(content).expect("texts and numbers are JSON")
}
