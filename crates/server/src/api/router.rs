//! The routes of the HTTP API, and the middleware layers that every request passes through.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, Any as Anything, CorsLayer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::response::WARNINGS;
use super::{docs, health, jobs, metrics, middleware, models, realtime, transcriptions, translations};
use crate::error::ApiError;
use crate::state::AppState;

/// The size limit of all form fields other than the recording together, in bytes.
const MAX_FIELDS_BYTES: u64 = 1 << 20;

/// The router of the server.
pub fn router(state: &Arc<AppState>) -> Router {
    let (router, document) = OpenApiRouter::with_openapi(docs::base_document(state.keys.are_required()))
        .routes(routes!(transcriptions::create))
        .routes(routes!(translations::create))
        .routes(routes!(jobs::create::create))
        .routes(routes!(jobs::manage::list))
        .routes(routes!(jobs::manage::retrieve))
        .routes(routes!(jobs::manage::delete))
        .routes(routes!(jobs::events::follow))
        .routes(routes!(jobs::result::result))
        .routes(routes!(models::list))
        .routes(routes!(models::retrieve))
        .routes(routes!(realtime::connect::connect))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::scrape))
        .split_for_parts();
    let max_body_bytes = state.config.max_upload_bytes() + MAX_FIELDS_BYTES;
    let router = router
        .merge(docs::router(&document))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(usize::try_from(max_body_bytes).unwrap_or(usize::MAX)))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(state), middleware::authorize));
    let router = match cors(&state.config.cors_origin) {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router.layer(from_fn_with_state(Arc::clone(state), middleware::record)).with_state(Arc::clone(state))
}

/// The layer that allows web pages of these origins to read responses (CORS). `None` if no origin is allowed.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origin = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let exposed = [header::RETRY_AFTER, middleware::REQUEST_ID, WARNINGS];
    // Allow exactly the headers that the browser asks for. The value `*` would not include `Authorization`.
    let headers = AllowHeaders::mirror_request();
    Some(CorsLayer::new().allow_origin(origin).allow_methods(Anything).allow_headers(headers).expose_headers(exposed))
}

async fn not_found() -> impl IntoResponse {
    ApiError::not_found("there is no such endpoint; /docs lists all endpoints")
}

async fn method_not_allowed() -> impl IntoResponse {
    ApiError::invalid("this endpoint does not support the method").with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// The response after a request handler has panicked. The panic message has already been written to standard error.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    ApiError::internal("internal server error").into_response()
}
