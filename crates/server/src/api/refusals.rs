//! The errors that many endpoints have in common, for the document of the interface.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};

/// Those of every request that needs a key.
const OF_ALL: [(&str, &str); 6] = [
    ("400", "What is asked makes no sense"),
    ("401", "No key, or a wrong one"),
    ("403", "A web page, or a name of the server, that is not let in"),
    ("429", "Too many requests of this caller"),
    ("500", "A fault of the server"),
    ("503", "Not now: there is too much to do, or the server is being stopped"),
];

/// Those of a form with a recording besides.
const OF_FORMS: [(&str, &str); 5] = [
    ("404", "No such model, or no such file"),
    ("408", "The upload took too long"),
    ("413", "Too large, or too long"),
    ("415", "No form, or no recording in a known format"),
    ("422", "Nothing can be decoded"),
];

/// The errors of every request that needs a key.
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(&OF_ALL).collect()
    }
}

/// The errors of a request whose body is a form with a recording.
pub struct FormRefusals;

impl IntoResponses for FormRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(&OF_ALL).chain(errors(&OF_FORMS)).collect()
    }
}

fn errors(listed: &[(&str, &str)]) -> impl Iterator<Item = (String, RefOr<Response>)> {
    listed.iter().map(|&(status, description)| {
        let content = Content::new(Some(Ref::from_schema_name("ErrorBody")));
        let response = ResponseBuilder::new().description(description).content("application/json", content);
        let response = match status {
            "429" | "503" => response.header("Retry-After", seconds()),
            _ => response,
        };
        (status.to_owned(), response.build().into())
    })
}

fn seconds() -> Header {
    let schema = Object::with_type(Type::Integer);
    HeaderBuilder::new().schema(Some(schema)).description(Some("Seconds until it is worth another try")).build()
}
