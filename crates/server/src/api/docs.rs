//! `GET /openapi.json`, and `GET /docs`, a page to read it, which fetches nothing from elsewhere.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::Redirect;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as OpenApiDocument;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};

use crate::state::AppState;

/// Where the document is.
pub const DOCUMENT: &str = "/openapi.json";

/// Where the page is.
pub const PAGE: &str = "/docs";

/// What the document calls an API key.
const KEY: &str = "key";

/// What the endpoints add themselves to.
#[derive(OpenApi)]
#[openapi(info(title = "Amanuensis", description = "Private, offline speech to text."))]
struct Document;

/// The head of the document of a server that wants a key, or wants none.
pub fn head(wants_key: bool) -> OpenApiDocument {
    let mut document = Document::openapi();
    if wants_key {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme(KEY, scheme);
        document.security = Some(vec![SecurityRequirement::new(KEY, [""; 0])]);
    }
    document
}

/// The two, for a document that is complete.
pub fn router(document: &OpenApiDocument) -> Router<Arc<AppState>> {
    let json = document.to_json().expect("a document of texts and numbers is JSON");
    let document = get(async || ([(header::CONTENT_TYPE, "application/json")], json));
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'";
    let head = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)];
    let home = get(async || Redirect::to("docs"));
    Router::new()
        .route("/", home)
        .route(DOCUMENT, document)
        .route(PAGE, get(async move || (head, include_str!("docs.html"))))
}
