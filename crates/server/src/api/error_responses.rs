//! The error responses in the `OpenAPI` document.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};

/// The errors that every endpoint that needs an API key can return: status and description.
const COMMON: [(&str, &str); 6] = [
    ("400", "The request is invalid"),
    ("401", "The API key is missing or wrong"),
    ("403", "The origin of the web page or the host name is not allowed"),
    ("429", "The client has sent too many requests"),
    ("500", "Internal server error"),
    ("503", "The server is overloaded or shutting down"),
];

/// The additional errors that an endpoint can return if it receives a recording: status and description.
const UPLOAD: [(&str, &str); 5] = [
    ("404", "There is no such model or file"),
    ("408", "The upload took too long"),
    ("413", "The recording is too large or too long"),
    ("415", "The body is not a form, or the recording has an unknown format"),
    ("422", "The recording cannot be decoded"),
];

/// Documents the error responses of an endpoint that needs an API key.
pub struct ErrorResponses;

impl IntoResponses for ErrorResponses {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&COMMON).collect()
    }
}

/// Documents the error responses of an endpoint that receives a recording.
pub struct UploadErrorResponses;

impl IntoResponses for UploadErrorResponses {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&COMMON).chain(responses(&UPLOAD)).collect()
    }
}

fn responses(listed: &[(&str, &str)]) -> impl Iterator<Item = (String, RefOr<Response>)> {
    listed.iter().map(|&(status, description)| {
        let content = Content::new(Some(Ref::from_schema_name("ErrorBody")));
        let response = ResponseBuilder::new().description(description).content("application/json", content);
        let response = match status {
            "429" | "503" => response.header("Retry-After", retry_after()),
            _ => response,
        };
        (status.to_owned(), response.build().into())
    })
}

fn retry_after() -> Header {
    let schema = Object::with_type(Type::Integer);
    HeaderBuilder::new().schema(Some(schema)).description(Some("Seconds to wait before the next attempt")).build()
}
