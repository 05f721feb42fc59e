//! Connects a client's WebSocket to its live session.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Error;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::client_events::{ClientEvent, parse};
use super::server_events::EventWriter;
use super::session_params::SessionParams;
use super::settings;
use super::wire::Dialect;
use crate::error::ApiError;
use crate::live::{Command, SessionEvent};
use crate::state::AppState;

/// The connection is closed if the client sends nothing for this long.
const IDLE_TIMEOUT: Duration = Duration::from_mins(10);

/// The connection is closed if the client takes longer than this to receive an event.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait for the client to close the connection after the session has ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A WebSocket and its live session.
pub struct Connection {
    state: Arc<AppState>,
    socket: WebSocket,
    events: Receiver<SessionEvent>,
    writer: EventWriter,
    params: SessionParams,
    /// Commands that do not fit into the session's queue yet. While there are any, no messages are read from the
    /// client.
    pending: VecDeque<Command>,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    /// Connects a new session to its client. Dropping the connection frees `slot`, so that another session can be
    /// opened.
    pub fn new(
        state: Arc<AppState>,
        socket: WebSocket,
        events: Receiver<SessionEvent>,
        writer: EventWriter,
        params: SessionParams,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        Self { state, socket, events, writer, params, pending: VecDeque::new(), _slot: slot }
    }

    /// Forwards messages from the client to the session, and events from the session to the client. Returns when
    /// either side has ended. When the server shuts down, no more messages are read, but the client still gets the
    /// transcript of the audio that it has sent.
    pub async fn run(mut self, commands: &Sender<Command>) {
        let state = Arc::clone(&self.state);
        let (mut shutdown, mut is_ending) = (pin!(state.shutdown_started()), false);
        let created = self.writer.session(&self.params, true);
        let mut is_open = self.send(vec![created]).await;
        while is_open {
            tokio::select! {
                permit = commands.reserve(), if !self.pending.is_empty() => match (permit, self.pending.pop_front()) {
                    (Ok(permit), Some(command)) => permit.send(command),
                    _ => is_open = false,
                },
                () = &mut shutdown, if !is_ending => {
                    self.pending.push_back(Command::End);
                    is_ending = true;
                }
                message = timeout(IDLE_TIMEOUT, self.socket.recv()), if self.pending.is_empty() && !is_ending => {
                    is_open = self.on_received(message).await;
                },
                event = self.events.recv() => is_open = self.on_session_event(event, is_ending).await,
            }
        }
        // Read and discard what the client still sends. If the server closed a connection with unread data, the
        // connection would be reset, and the client could lose the final events.
        let _ = timeout(CLOSE_TIMEOUT, async { while let Some(Ok(_)) = self.socket.recv().await {} }).await;
    }

    /// Handles a message from the socket, a read error or a timeout. Returns whether the connection stays open.
    async fn on_received(&mut self, message: Result<Option<Result<Message, Error>>, Elapsed>) -> bool {
        match message {
            Ok(Some(Ok(message))) => self.on_message(message).await,
            Ok(_) => false,
            Err(_) => self.close(close_code::POLICY, "no message for ten minutes").await,
        }
    }

    /// Sends an event of the session to the client. `None` means that the session has ended. Returns whether the
    /// connection stays open.
    async fn on_session_event(&mut self, event: Option<SessionEvent>, is_ending: bool) -> bool {
        match event {
            Some(event) => {
                if let SessionEvent::Completed { seconds, .. } = event {
                    self.state.metrics.record_utterance(seconds);
                }
                let events = self.writer.events(event);
                self.send(events).await
            }
            None if is_ending => self.close(close_code::AWAY, "the server is shutting down").await,
            None => false,
        }
    }

    /// Handles a message from the client. Returns whether the connection stays open.
    async fn on_message(&mut self, message: Message) -> bool {
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => return false,
            Message::Ping(_) | Message::Pong(_) => return true,
            Message::Binary(_) => {
                let error = ApiError::invalid("events must be sent as text messages, not as binary messages");
                let event = self.writer.error(&error, None);
                return self.send(vec![event]).await;
            }
        };
        let (event, event_id) = parse(&text);
        match event {
            Ok(ClientEvent::Append(bytes)) => self.pending.push_back(Command::Bytes(bytes)),
            Ok(ClientEvent::Commit) => self.pending.push_back(Command::Commit),
            Ok(ClientEvent::Clear) => self.pending.push_back(Command::Clear),
            Ok(ClientEvent::Update(dialect, session)) => {
                let response = match self.update(dialect, session).await {
                    Ok(()) => self.writer.session(&self.params, false),
                    Err(error) => self.writer.error(&error, event_id.as_deref()),
                };
                return self.send(vec![response]).await;
            }
            Err(error) => {
                let response = self.writer.error(&error, event_id.as_deref());
                return self.send(vec![response]).await;
            }
        }
        true
    }

    /// Changes the session's settings as the client requests in `session`.
    async fn update(&mut self, dialect: Dialect, session: Value) -> Result<(), ApiError> {
        let params = self.params.updated(dialect, session)?;
        let settings = settings::load(&self.state, &params).await?;
        self.writer.configure(dialect, params.logprobs);
        self.params = params;
        self.pending.push_back(Command::Configure(Box::new(settings)));
        Ok(())
    }

    /// Sends events to the client. Returns false if the client has disconnected, or if it takes longer than
    /// [`SEND_TIMEOUT`] to receive them.
    async fn send(&mut self, events: Vec<Value>) -> bool {
        for event in events {
            let sent = timeout(SEND_TIMEOUT, self.socket.send(Message::text(event.to_string()))).await;
            if !matches!(sent, Ok(Ok(()))) {
                return false;
            }
        }
        true
    }

    /// Sends a WebSocket close frame. Always returns false, because the connection does not stay open after it.
    async fn close(&mut self, code: u16, reason: &'static str) -> bool {
        let frame = CloseFrame { code, reason: reason.into() };
        // Ignore an error or a timeout: it only means that the client does not receive any more.
        let _ = timeout(SEND_TIMEOUT, self.socket.send(Message::Close(Some(frame)))).await;
        false
    }
}
