//! The request handler that accepts a WebSocket connection.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::connection::Connection;
use super::server_events::EventWriter;
use super::session_params::SessionParams;
use super::settings;
use super::wire::Dialect;
use crate::api::error_responses::ErrorResponses;
use crate::api::rejections::query_error;
use crate::error::{ApiError, ErrorBody};
use crate::live;
use crate::state::AppState;

/// The value of the header `OpenAI-Beta` with which a client selects the beta dialect of the API.
const BETA: &str = "realtime=v1";

/// The size limit of one client event, in bytes. An event of this size holds several minutes of audio in base64.
const MAX_EVENT_BYTES: usize = 16 << 20;

/// The query parameters with which a client opens a session.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Params {
    /// The purpose of the session. If it is given, it must be `transcription`.
    #[param(pattern = "^transcription$")]
    intent: Option<String>,
    /// The model that is used until the client names another one in a session update. If it is missing, the server's
    /// default model is used.
    model: Option<String>,
    /// Whether to send words that may still change, as events
    /// `conversation.item.input_audio_transcription.provisional`. `OpenAI`'s API does not have these events.
    provisional: Option<bool>,
}

/// Transcribe live speech
///
/// The connection becomes a WebSocket with the events of transcription sessions in `OpenAI`'s API.
#[utoipa::path(
    get, path = "/v1/realtime", tag = "Audio", operation_id = "connect", params(Params),
    responses(
        (status = 101, description = "The connection becomes a WebSocket"),
        (status = 404, body = ErrorBody, description = "There is no such model"),
        ErrorResponses,
    )
)]
pub async fn connect(
    State(state): State<Arc<AppState>>,
    params: Result<Query<Params>, QueryRejection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let Query(params) = params.map_err(|rejection| query_error(&rejection))?;
    if params.intent.is_some_and(|intent| intent != "transcription") {
        let message = "only transcription sessions are supported: `?intent=transcription`";
        return Err(ApiError::invalid(message).with_param("intent"));
    }
    let upgrade = upgrade.map_err(|rejection| ApiError::invalid(rejection.body_text()))?;
    let slot = state.limits.try_live_slot().ok_or_else(|| ApiError::overloaded("too many live sessions", 10))?;
    let is_beta = headers.get("openai-beta").is_some_and(|value| value == BETA);
    let dialect = if is_beta { Dialect::Beta } else { Dialect::Current };
    let session = SessionParams::new(params.model.as_deref().unwrap_or("whisper-1"), state.pool.has_vad());
    let settings = settings::load(&state, &session).await?;
    let id = state.next_request_id().trim_start_matches("req_").to_owned();
    let writer = EventWriter::new(id, dialect, params.provisional.unwrap_or(false));
    let upgrade = upgrade.protocols(["realtime"]).max_message_size(MAX_EVENT_BYTES).max_frame_size(MAX_EVENT_BYTES);
    Ok(upgrade.on_upgrade(async move |socket| {
        if let Ok((commands, events)) = live::start(settings) {
            Connection::new(state, socket, events, writer, session, slot).run(&commands).await;
        }
    }))
}
