//! The response to a request with `stream=true`: the text as server-sent events, sent while the recording is decoded.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amanuensis_transcribe::{Error as TranscribeError, Language, Transcriber, Transcript};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt, unfold};
use serde::Serialize;
use tokio::time::timeout;

use super::response::{LanguageCode, Logprob, ResponseParts, language_codes, logprobs};
use crate::error::ApiError;
use crate::state::AppState;
use crate::transcription::{RunningTranscription, TranscriptionError, TranscriptionEvent};

/// If no event was sent for this long, a comment is sent to keep the connection alive, because proxies close idle
/// connections.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// An event of the stream, in the format of `OpenAI`'s API.
#[derive(Serialize)]
#[serde(tag = "type")]
enum StreamEvent {
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
        languages: Option<Vec<LanguageCode>>,
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
    parts: ResponseParts,
    start: Instant,
    text: DeltaText,
    logprobs: Vec<Logprob>,
    language: Option<Language>,
    has_ended: bool,
}

/// Responds with the events of a running transcription. The transcription is cancelled when the client disconnects.
///
/// # Errors
/// The error of a transcription that fails before its first event and within [`KEEP_ALIVE_INTERVAL`]. Later errors
/// are sent as events, because the response has already started with status 200.
pub async fn event_stream(
    state: &Arc<AppState>,
    running: RunningTranscription,
    transcriber: Arc<Transcriber>,
    parts: ResponseParts,
) -> Result<Response, ApiError> {
    let mut stream = Stream {
        state: Arc::clone(state),
        running,
        transcriber,
        parts,
        start: Instant::now(),
        text: DeltaText::default(),
        logprobs: Vec::new(),
        language: None,
        has_ended: false,
    };
    let first = timeout(KEEP_ALIVE_INTERVAL, stream.next()).await.unwrap_or_default().transpose()?;
    let rest = unfold(stream, |mut stream| async {
        let next = stream.next().await?;
        Some((next.unwrap_or_else(|error| event(&error.body())), stream))
    });
    let events = stream::iter(first).chain(rest).map(Ok::<_, Infallible>);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_INTERVAL)).into_response())
}

impl Stream {
    async fn next(&mut self) -> Option<Result<Event, ApiError>> {
        while !self.has_ended {
            match self.running.next().await {
                Some(TranscriptionEvent::Language(language)) => self.language = Some(language),
                Some(TranscriptionEvent::Segment(segment)) => {
                    let delta = self.text.push(&segment.text);
                    let logprobs = self.parts.logprobs.then(|| logprobs(&[segment], &self.transcriber));
                    self.logprobs.extend(logprobs.clone().unwrap_or_default());
                    if !delta.is_empty() {
                        return Some(Ok(event(&StreamEvent::Delta { delta, logprobs })));
                    }
                }
                Some(TranscriptionEvent::Finished(result)) => return Some(self.finish(result)),
                // The event channel was closed without a result, which means that the transcription thread has
                // panicked.
                None => return Some(self.finish(Err(TranscriptionError::Transcribe(TranscribeError::Stopped)))),
            }
        }
        None
    }

    fn finish(&mut self, result: Result<Transcript, TranscriptionError>) -> Result<Event, ApiError> {
        self.has_ended = true;
        let transcript = result?;
        self.state.metrics.record_transcription(transcript.duration, self.start.elapsed().as_secs_f64());
        Ok(event(&StreamEvent::Done {
            text: std::mem::take(&mut self.text.text),
            languages: self.parts.languages.then(|| language_codes(self.language)),
            logprobs: self.parts.logprobs.then(|| std::mem::take(&mut self.logprobs)),
            warnings: transcript.warnings,
        }))
    }
}

/// Converts the texts of segments to the pieces of text (deltas) that are sent to the client. The joined pieces are
/// the whole text without leading and trailing whitespace.
#[derive(Default)]
struct DeltaText {
    /// All text that has been returned so far.
    text: String,
    /// Whitespace at the end of the previous segment. It is sent only if more text follows.
    trailing: String,
}

impl DeltaText {
    /// Adds the text of the next segment, and returns the piece of text to send.
    fn push(&mut self, text: &str) -> String {
        let text = if self.text.is_empty() { text.trim_start() } else { text };
        let trimmed = text.trim_end();
        if trimmed.is_empty() {
            self.trailing.push_str(text);
            return String::new();
        }
        let delta = std::mem::take(&mut self.trailing) + trimmed;
        text[trimmed.len()..].clone_into(&mut self.trailing);
        self.text.push_str(&delta);
        delta
    }
}

fn event(content: &impl Serialize) -> Event {
    Event::default().json_data(content).expect("strings and numbers can be written as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_deltas_are_the_trimmed_text() {
        let mut text = DeltaText::default();
        let deltas = [" ", " Ask", " not. ", "  ", "What", " "].map(|segment| text.push(segment));
        assert_eq!(deltas, ["", "Ask", " not.", "", "   What", ""]);
        assert_eq!(text.text, deltas.concat());
    }
}
