//! `GET /openapi.json`, and `GET /docs`, a page to read it, which fetches nothing from elsewhere.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as OpenApiDocument;

use crate::state::AppState;

/// Where the document is.
pub const DOCUMENT: &str = "/openapi.json";

/// Where the page is.
pub const PAGE: &str = "/docs";

/// The head of the document; the endpoints add themselves.
#[derive(OpenApi)]
#[openapi(info(title = "Amanuensis", description = "Private, offline speech to text."))]
pub struct Document;

/// The two, for a document that is complete.
pub fn router(document: &OpenApiDocument) -> Router<Arc<AppState>> {
    let json = document.to_json().expect("a document of texts and numbers is JSON");
    let document = get(async || ([(header::CONTENT_TYPE, "application/json")], json));
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'";
    let head = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)];
    Router::new().route(DOCUMENT, document).route(PAGE, get(async move || (head, include_str!("docs.html"))))
}
