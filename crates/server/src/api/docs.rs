//! `GET /openapi.json` returns the `OpenAPI` document. `GET /docs` returns a page that displays it. The page loads
//! nothing from other servers.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::Redirect;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as OpenApiDocument;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};

use crate::state::AppState;

/// The path of the `OpenAPI` document.
pub const DOCUMENT: &str = "/openapi.json";

/// The path of the documentation page.
pub const PAGE: &str = "/docs";

/// The name of the security scheme for API keys in the `OpenAPI` document.
const SECURITY_SCHEME: &str = "key";

/// The general parts of the `OpenAPI` document, such as the title. The endpoints are added later.
#[derive(OpenApi)]
#[openapi(info(title = "Amanuensis", description = "Private, offline speech to text."))]
struct Document;

/// The `OpenAPI` document before the endpoints are added. If `needs_key` is true, it declares that requests need an
/// API key.
pub fn base_document(needs_key: bool) -> OpenApiDocument {
    let mut document = Document::openapi();
    if needs_key {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme(SECURITY_SCHEME, scheme);
        document.security = Some(vec![SecurityRequirement::new(SECURITY_SCHEME, [""; 0])]);
    }
    document
}

/// The routes that serve the `OpenAPI` document and the documentation page.
pub fn router(document: &OpenApiDocument) -> Router<Arc<AppState>> {
    let json = document.to_json().expect("the document has only strings and numbers, which can be written as JSON");
    let document = get(async || ([(header::CONTENT_TYPE, "application/json")], json));
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'";
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)];
    let home = get(async || Redirect::to("docs"));
    Router::new()
        .route("/", home)
        .route(DOCUMENT, document)
        .route(PAGE, get(async move || (headers, include_str!("docs.html"))))
}
