//! `GET /health` (readiness) and `GET /health/live` (liveness).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::AppState;

/// The server's health.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`, or the reason why the server accepts no requests: `stopping`, `full` or `no model`.
    status: &'static str,
    /// Whether the server is running.
    live: bool,
    /// Whether the server accepts requests.
    ready: bool,
}

/// Whether the server accepts requests
#[utoipa::path(
    get, path = "/health", tag = "Server", operation_id = "ready", security(()),
    responses(
        (status = 200, body = Health),
        (status = 503, body = Health, description = "The server accepts no requests at the moment"),
    )
)]
pub async fn ready(State(state): State<Arc<AppState>>) -> (StatusCode, Json<Health>) {
    let status = if state.is_stopping() {
        "stopping"
    } else if state.limits.is_queue_full() {
        "full"
    } else if state.pool.installed().is_empty() {
        "no model"
    } else {
        "ok"
    };
    let ready = status == "ok";
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Health { status, live: true, ready }))
}

/// Whether the server is running
#[utoipa::path(
    get, path = "/health/live", tag = "Server", operation_id = "live", security(()),
    responses((status = 200, body = Health))
)]
pub async fn live(State(state): State<Arc<AppState>>) -> Json<Health> {
    Json(Health { status: "ok", live: true, ready: !state.is_stopping() && !state.limits.is_queue_full() })
}
