//! Which endpoint is where, and what every request goes through.

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

use super::answer::WARNINGS;
use super::{docs, gate, health, jobs, metrics, models, realtime, transcriptions, translations};
use crate::error::ApiError;
use crate::state::AppState;

/// What fields other than the recording may add to a body, in bytes.
const FIELDS: u64 = 1 << 20;

/// All endpoints.
pub fn router(state: &Arc<AppState>) -> Router {
    let (router, document) = OpenApiRouter::with_openapi(docs::head(state.keys.are_required()))
        .routes(routes!(transcriptions::create))
        .routes(routes!(translations::create))
        .routes(routes!(jobs::create))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::retrieve))
        .routes(routes!(jobs::delete))
        .routes(routes!(jobs::events::follow))
        .routes(routes!(jobs::result::result))
        .routes(routes!(models::list))
        .routes(routes!(models::retrieve))
        .routes(routes!(realtime::connect))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::scrape))
        .split_for_parts();
    let largest = state.config.max_upload_bytes() + FIELDS;
    let router = router
        .merge(docs::router(&document))
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(usize::try_from(largest).unwrap_or(usize::MAX)))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(state), gate::admit));
    let router = match cors(&state.config.cors_origin) {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router.layer(from_fn_with_state(Arc::clone(state), gate::account)).with_state(Arc::clone(state))
}

/// Lets web pages of these origins in; none is the default.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origin = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let exposed = [header::RETRY_AFTER, gate::REQUEST_ID, WARNINGS];
    // `*` would leave out `Authorization`.
    let headers = AllowHeaders::mirror_request();
    Some(CorsLayer::new().allow_origin(origin).allow_methods(Anything).allow_headers(headers).expose_headers(exposed))
}

async fn nothing_here() -> impl IntoResponse {
    ApiError::not_found("there is no such endpoint; /docs lists those there are")
}

async fn other_method() -> impl IntoResponse {
    ApiError::invalid("the endpoint does not take this method").with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// The panic itself is on the standard error already.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    ApiError::internal("a fault of the server").into_response()
}
