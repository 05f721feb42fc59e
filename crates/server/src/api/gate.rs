//! What every request goes through: an id, counting, the key, the rate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use super::docs;
use crate::error::ApiError;
use crate::state::AppState;

/// The header with the id of a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Paths that need no key: they tell nothing of anybody.
const OPEN: [&str; 4] = ["/health", "/health/live", docs::PAGE, docs::DOCUMENT];

/// Bytes of a refused body, and time, that the client is let send, so that it hears of the refusal.
const DRAINED: usize = 16 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Gives the request an id, and counts it.
pub async fn account(State(state): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = state.next_request_id();
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let (status, time) = (response.status().as_u16(), start.elapsed());
    state.metrics.answered(matched.as_deref().unwrap_or("none"), status, time);
    if state.config.access_log {
        eprintln!("{id} {method} {path:?} {status} {:.3} s", time.as_secs_f64());
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Lets the request in, or refuses it.
pub async fn admit(State(state): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    if OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match check(&state, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => refuse(error, request).await.into_response(),
    }
}

fn check(state: &AppState, request: &Request) -> Result<(), ApiError> {
    let shown = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let key = state.keys.admit(shown).ok_or_else(|| {
        ApiError::unauthorized(match shown {
            None => "an API key is needed, in a header `Authorization: Bearer KEY`",
            Some(_) => "this API key is not one of the server's",
        })
    })?;
    if state.is_stopping() {
        return Err(ApiError::overloaded("the server is being stopped", 10));
    }
    let too_many = |seconds| ApiError::rate_limited("more requests in a minute than a caller may make", seconds);
    state.limits.count(key).map_err(too_many)
}

/// Lets the client send what it has begun to, within limits: many do not listen before.
pub async fn refuse(error: ApiError, request: Request) -> ApiError {
    let drain = async |body: Body| {
        let (mut chunks, mut drained) = (body.into_data_stream(), 0);
        while let Some(Ok(chunk)) = chunks.next().await {
            drained += chunk.len();
            if drained > DRAINED {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME, drain(request.into_body())).await;
    error
}
