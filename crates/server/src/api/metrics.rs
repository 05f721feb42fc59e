//! `GET /metrics`: the server's metrics in the text format of Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::error_responses::ErrorResponses;
use crate::state::AppState;

/// Metrics for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "Server", operation_id = "metrics",
    responses((status = 200, body = String, content_type = "text/plain"), ErrorResponses)
)]
pub async fn scrape(State(state): State<Arc<AppState>>) -> impl IntoResponse {
    let text = state.metrics.text(&state.gauges());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
