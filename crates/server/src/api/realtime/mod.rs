//! `WS /v1/realtime?intent=transcription`: speech that is written down while it goes on.

mod events;
mod settings;

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::timeout;
use utoipa::IntoParams;

use super::query;
use super::refusals::Refusals;
use crate::error::{ApiError, ErrorBody};
use crate::live::{Command, SessionEvent, SessionSettings, start};
use crate::state::AppState;
use crate::transcription::TranscriptionError;
use events::{Speaker, Wanted, read};
use settings::{Asked, Dialect};

/// Names of `OpenAI`'s models for live speech, which mean the default model here.
const MAPPED: [&str; 2] = ["gpt-realtime-whisper", "gpt-live-transcribe"];

/// What clients of the beta's form say in a header `OpenAI-Beta`.
const BETA: &str = "realtime=v1";

/// Bytes of an event, at most: some minutes of samples in base64.
const LARGEST: usize = 16 << 20;

/// How long a client may say nothing, how long it may take to hear something, and to part.
const SILENCE: Duration = Duration::from_mins(10);
const PATIENCE: Duration = Duration::from_secs(30);
const PARTING: Duration = Duration::from_secs(2);

/// What a session is asked to be.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    /// `transcription`, which is what a session is for if nothing is said, too: there are no others.
    #[param(pattern = "^transcription$")]
    intent: Option<String>,
    /// The model, until the session is told of another; the default one where it is not given.
    model: Option<String>,
    /// Whether to send words that may still change, as `conversation.item.input_audio_transcription.provisional`, which
    /// `OpenAI`'s interface does not have.
    provisional: Option<bool>,
}

/// Transcribe speech that is going on
///
/// A WebSocket with the events of `OpenAI`'s interface for transcription sessions.
#[utoipa::path(
    get, path = "/v1/realtime", tag = "Audio", operation_id = "connect", params(Params),
    responses(
        (status = 101, description = "The connection is a WebSocket from now on"),
        (status = 404, body = ErrorBody, description = "No such model"),
        Refusals,
    )
)]
pub async fn connect(
    State(state): State<Arc<AppState>>,
    params: Result<Query<Params>, QueryRejection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let Query(params) = params.map_err(|rejection| query::refuse(&rejection))?;
    if params.intent.is_some_and(|intent| intent != "transcription") {
        let message = "the only sessions here are for transcription: `?intent=transcription`";
        return Err(ApiError::invalid(message).with_param("intent"));
    }
    let upgrade = upgrade.map_err(|rejection| ApiError::invalid(rejection.body_text()))?;
    let place = state.limits.try_live_slot().ok_or_else(|| ApiError::overloaded("too many live sessions", 10))?;
    let is_beta = headers.get("openai-beta").is_some_and(|value| value == BETA);
    let dialect = if is_beta { Dialect::Beta } else { Dialect::Present };
    let detects_turns = state.pool.has_vad();
    let asked = Asked::new(params.model.as_deref().unwrap_or("whisper-1"), detects_turns);
    let settings = settings(&state, &asked).await?;
    let id = state.next_request_id().trim_start_matches("req_").to_owned();
    let speaker = Speaker::new(id, dialect, params.provisional.unwrap_or(false));
    let upgrade = upgrade.protocols(["realtime"]).max_message_size(LARGEST).max_frame_size(LARGEST);
    Ok(upgrade.on_upgrade(async move |socket| {
        if let Ok((commands, events)) = start(settings) {
            let connection =
                Connection { state, socket, events, speaker, asked, waiting: VecDeque::new(), _place: place };
            connection.run(&commands).await;
        }
    }))
}

/// What is asked for, with its model loaded, if it can be had.
async fn settings(state: &AppState, asked: &Asked) -> Result<SessionSettings, ApiError> {
    let name = if MAPPED.contains(&asked.model.as_str()) { "whisper-1" } else { &asked.model };
    let transcriber = state.pool.get(name).await?;
    let options = asked.options();
    transcriber.check(&options).map_err(TranscriptionError::Transcribe)?;
    if let Some(turns) = asked.turns {
        if transcriber.vad().is_none() {
            let message = "turns cannot be detected: silero-vad is not installed (`amanuensis models pull silero-vad`)";
            return Err(ApiError::invalid(message).with_param("turn_detection"));
        }
        turns
            .check()
            .map_err(|error| ApiError::from(TranscriptionError::Transcribe(error)).with_param("turn_detection"))?;
    }
    Ok(SessionSettings { transcriber, options, utterances: asked.turns, format: asked.format, rate: asked.rate })
}

struct Connection {
    state: Arc<AppState>,
    socket: WebSocket,
    events: Receiver<SessionEvent>,
    speaker: Speaker,
    asked: Asked,
    /// What the session has no room for yet; as long as there is something, the client is not listened to.
    waiting: VecDeque<Command>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// Listens to the client and to the session until one of them is gone. When the server is being stopped, the client is
    /// not listened to any more, but hears what it said before.
    async fn run(mut self, commands: &Sender<Command>) {
        let state = Arc::clone(&self.state);
        let (mut stopped, mut is_ending) = (pin!(state.shutdown_started()), false);
        let created = self.speaker.session(&self.asked, true);
        let mut goes_on = self.send(vec![created]).await;
        while goes_on {
            tokio::select! {
                place = commands.reserve(), if !self.waiting.is_empty() => match (place, self.waiting.pop_front()) {
                    (Ok(place), Some(command)) => place.send(command),
                    _ => goes_on = false,
                },
                () = &mut stopped, if !is_ending => {
                    self.waiting.push_back(Command::End);
                    is_ending = true;
                }
                message = timeout(SILENCE, self.socket.recv()), if self.waiting.is_empty() && !is_ending => {
                    goes_on = match message {
                        Ok(Some(Ok(message))) => self.hear(message).await,
                        Ok(_) => false,
                        Err(_) => self.close(close_code::POLICY, "nothing was said for ten minutes").await,
                    };
                },
                event = self.events.recv() => {
                    goes_on = match event {
                        Some(event) => {
                            if let SessionEvent::Completed { seconds, .. } = event {
                                state.metrics.record_utterance(seconds);
                            }
                            let events = self.speaker.events(event);
                            self.send(events).await
                        }
                        None if is_ending => self.close(close_code::AWAY, "the server is being stopped").await,
                        None => false,
                    };
                },
            }
        }
        // A connection that is closed with something unread is reset, and with it what was sent last.
        let _ = timeout(PARTING, async { while let Some(Ok(_)) = self.socket.recv().await {} }).await;
    }

    /// Does what a message of the client asks for; false where the connection ends.
    async fn hear(&mut self, message: Message) -> bool {
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => return false,
            Message::Ping(_) | Message::Pong(_) => return true,
            Message::Binary(_) => {
                let event = self.speaker.error(&ApiError::invalid("events are texts"), None);
                return self.send(vec![event]).await;
            }
        };
        let (wanted, cause) = read(&text);
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(error) => {
                let event = self.speaker.error(&error, cause.as_deref());
                return self.send(vec![event]).await;
            }
        };
        match wanted {
            Wanted::Append(bytes) => self.waiting.push_back(Command::Bytes(bytes)),
            Wanted::Commit => self.waiting.push_back(Command::Commit),
            Wanted::Clear => self.waiting.push_back(Command::Clear),
            Wanted::Update(dialect, session) => {
                let event = match self.update(dialect, session).await {
                    Ok(()) => self.speaker.session(&self.asked, false),
                    Err(error) => self.speaker.error(&error, cause.as_deref()),
                };
                return self.send(vec![event]).await;
            }
        }
        true
    }

    async fn update(&mut self, dialect: Dialect, session: Value) -> Result<(), ApiError> {
        let asked = self.asked.updated(dialect, session)?;
        let settings = settings(&self.state, &asked).await?;
        self.speaker.speak(dialect, asked.logprobs);
        self.asked = asked;
        self.waiting.push_back(Command::Configure(Box::new(settings)));
        Ok(())
    }

    /// Sends events; false where the client is gone, or does not listen.
    async fn send(&mut self, events: Vec<Value>) -> bool {
        for event in events {
            let sent = timeout(PATIENCE, self.socket.send(Message::text(event.to_string()))).await;
            if !matches!(sent, Ok(Ok(()))) {
                return false;
            }
        }
        true
    }

    /// Says why the connection ends; false, for it does.
    async fn close(&mut self, code: u16, reason: &'static str) -> bool {
        let frame = CloseFrame { code, reason: reason.into() };
        // A client that is gone need not be told.
        let _ = timeout(PATIENCE, self.socket.send(Message::Close(Some(frame)))).await;
        false
    }
}
