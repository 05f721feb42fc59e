//! The middleware that every request passes through. It adds request ids, counts requests, and controls access by API
//! key, rate limit, host name and origin.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{docs, drain};
use crate::error::ApiError;
use crate::state::AppState;

/// The response header with the request id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Paths that can be requested without an API key, because they reveal nothing about the server's users.
const PUBLIC_PATHS: [&str; 5] = ["/", "/health", "/health/live", docs::PAGE, docs::DOCUMENT];

/// Adds a request id to the response, and counts the request in the metrics.
pub async fn record(State(state): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = state.next_request_id();
    let endpoint = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let (status, time) = (response.status().as_u16(), start.elapsed());
    state.metrics.record_request(endpoint.as_deref().unwrap_or("none"), status, time);
    if state.config.access_log {
        eprintln!("{id} {method} {path:?} {status} {:.3} s", time.as_secs_f64());
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Rejects a request if it has no valid API key, if its client exceeds the rate limit, or if its host name or origin
/// is not allowed.
pub async fn authorize(State(state): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    if PUBLIC_PATHS.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match check(&state, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => drain::before_error(error, request).await.into_response(),
    }
}

fn check(state: &AppState, request: &Request) -> Result<(), ApiError> {
    check_origin(state, request)?;
    let header = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let protocol = header.is_none().then(|| key_of_protocols(request.headers())).flatten();
    let key = state.keys.authenticate(header.or(protocol.as_deref())).ok_or_else(|| {
        ApiError::unauthorized(match header {
            None => "this server needs an API key, in a header `Authorization: Bearer KEY`",
            Some(_) => "the API key is wrong",
        })
    })?;
    if state.is_stopping() {
        return Err(ApiError::overloaded("the server is shutting down", 10));
    }
    let too_many = |seconds| ApiError::rate_limited("too many requests per minute", seconds);
    state.limits.count_request(key).map_err(too_many)
}

/// Finds the API key among the subprotocols of a WebSocket request, and returns it in the form of an `Authorization`
/// header. `None` if no subprotocol contains a key. Web pages cannot set headers for a WebSocket, so `OpenAI`'s
/// browser clients send the key as a subprotocol.
fn key_of_protocols(headers: &HeaderMap) -> Option<String> {
    let mut protocols = headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?.split(',');
    let key = protocols.find_map(|protocol| protocol.trim().strip_prefix("openai-insecure-api-key."))?;
    Some(format!("Bearer {key}"))
}

/// Rejects requests from web pages of other origins. If the server needs no API key and listens only on this machine,
/// also rejects requests whose host name is not a name of this machine.
///
/// Any web page can make the browser send requests to every server that the user can reach. CORS only stops the page
/// from reading the response: the server still executes the request, and CORS does not apply to a WebSocket at all.
/// With DNS rebinding, a page can also make the host name of its own site resolve to this machine, and then read all
/// responses. The check of the host name prevents this.
fn check_origin(state: &AppState, request: &Request) -> Result<(), ApiError> {
    let config = &state.config;
    let text = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let host = request.uri().authority().map(Authority::as_str).or(text(header::HOST));
    let is_private = config.host.is_loopback() && !config.allow_anyone && !state.keys.are_required();
    if is_private && host.is_some_and(|host| !is_loopback_name(host)) {
        return Err(ApiError::forbidden(
            "without API keys the server accepts only requests to localhost and loopback addresses; set --api-key or \
             --allow-anyone to allow other host names",
        ));
    }
    let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
    let is_harmless = request.method().is_safe() && !request.headers().contains_key(header::UPGRADE);
    let is_same_origin = origin.split_once("://").is_some_and(|(_, name)| Some(name) == host);
    if is_harmless || is_same_origin || config.cors_origin.iter().any(|allowed| allowed == "*" || allowed == origin) {
        return Ok(());
    }
    Err(ApiError::forbidden("web pages of this origin are not allowed; set --cors-origin to allow it"))
}

/// Whether `host`, with or without a port, certainly means this machine, whatever DNS answers: `localhost` or a
/// loopback address.
fn is_loopback_name(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_among_websocket_protocols() {
        let key = |protocols: &'static str| {
            let value = HeaderValue::from_static(protocols);
            key_of_protocols(&HeaderMap::from_iter([(header::SEC_WEBSOCKET_PROTOCOL, value)]))
        };
        assert_eq!(key("realtime, openai-insecure-api-key.abc,other").as_deref(), Some("Bearer abc"));
        assert_eq!(key("realtime"), None);
        assert_eq!(key_of_protocols(&HeaderMap::new()), None);
    }

    #[test]
    fn only_localhost_and_loopback_addresses_are_loopback_names() {
        for host in ["localhost", "LocalHost:8000", "127.0.0.1:8000", "127.1.2.3", "[::1]:8000", "[::1]"] {
            assert!(is_loopback_name(host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example:80", "192.168.0.1", "[::2]", "127.0.0.1.evil.example", "a b"]
        {
            assert!(!is_loopback_name(host), "{host}");
        }
    }
}
