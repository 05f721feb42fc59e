//! What every request goes through: an id, counting, the page that it comes from, the key, the rate.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use super::docs;
use crate::error::ApiError;
use crate::state::AppState;

/// The header with the id of a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Paths that need no key: they tell nothing of anybody.
const OPEN: [&str; 5] = ["/", "/health", "/health/live", docs::PAGE, docs::DOCUMENT];

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
    state.metrics.record_request(matched.as_deref().unwrap_or("none"), status, time);
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
    refuse_pages(state, request)?;
    let shown = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let protocol = shown.is_none().then(|| key_of_protocols(request.headers())).flatten();
    let key = state.keys.authenticate(shown.or(protocol.as_deref())).ok_or_else(|| {
        ApiError::unauthorized(match shown {
            None => "an API key is needed, in a header `Authorization: Bearer KEY`",
            Some(_) => "this API key is not one of the server's",
        })
    })?;
    if state.is_stopping() {
        return Err(ApiError::overloaded("the server is being stopped", 10));
    }
    let too_many = |seconds| ApiError::rate_limited("more requests in a minute than a caller may make", seconds);
    state.limits.count_request(key).map_err(too_many)
}

/// The key among the protocols of a WebSocket, as `Authorization` has it: a web page can set no other header, and `OpenAI`'s
/// clients show it so.
fn key_of_protocols(headers: &HeaderMap) -> Option<String> {
    let mut protocols = headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?.split(',');
    let key = protocols.find_map(|protocol| protocol.trim().strip_prefix("openai-insecure-api-key."))?;
    Some(format!("Bearer {key}"))
}

/// A web page can have any server asked that its reader can reach. It hears no answer of another origin, but what it asks
/// is done, and a WebSocket it hears; and where the name of the page's own host is made to mean this machine, it hears
/// everything.
fn refuse_pages(state: &AppState, request: &Request) -> Result<(), ApiError> {
    let config = &state.config;
    let text = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let host = request.uri().authority().map(Authority::as_str).or(text(header::HOST));
    let is_private = config.host.is_loopback() && !config.allow_anyone && !state.keys.are_required();
    if is_private && host.is_some_and(|host| !is_of_this_machine(host)) {
        return Err(ApiError::forbidden(
            "without API keys the server answers only to names of this machine, such as localhost and 127.0.0.1; for \
             others set --api-key, or say --allow-anyone",
        ));
    }
    let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
    let is_harmless = request.method().is_safe() && !request.headers().contains_key(header::UPGRADE);
    let is_own = origin.split_once("://").is_some_and(|(_, name)| Some(name) == host);
    if is_harmless || is_own || config.cors_origin.iter().any(|allowed| allowed == "*" || allowed == origin) {
        return Ok(());
    }
    Err(ApiError::forbidden("web pages of this origin are not let in; --cors-origin names those that are"))
}

/// Whether a host, with its port, is this machine by any name that nobody else can give.
fn is_of_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_its_key_among_the_protocols() {
        let key = |protocols: &'static str| {
            let value = HeaderValue::from_static(protocols);
            key_of_protocols(&HeaderMap::from_iter([(header::SEC_WEBSOCKET_PROTOCOL, value)]))
        };
        assert_eq!(key("realtime, openai-insecure-api-key.abc,other").as_deref(), Some("Bearer abc"));
        assert_eq!(key("realtime"), None);
        assert_eq!(key_of_protocols(&HeaderMap::new()), None);
    }

    #[test]
    fn names_of_this_machine() {
        for host in ["localhost", "LocalHost:8000", "127.0.0.1:8000", "127.1.2.3", "[::1]:8000", "[::1]"] {
            assert!(is_of_this_machine(host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example:80", "192.168.0.1", "[::2]", "127.0.0.1.evil.example", "a b"]
        {
            assert!(!is_of_this_machine(host), "{host}");
        }
    }
}
