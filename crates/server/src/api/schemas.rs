//! `OpenAPI` schemas for values whose Rust types have no schema of their own.

use amanuensis_transcribe::{Language, Task};
use strum::VariantNames;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

/// The schema of a language: a code or an English name.
pub struct LanguageName;

impl ToSchema for LanguageName {
    fn name() -> std::borrow::Cow<'static, str> {
        "Spoken".into()
    }
}

impl PartialSchema for LanguageName {
    fn schema() -> RefOr<Schema> {
        let names = Language::all().flat_map(|language| [language.code(), language.name()]);
        let description = "A language: its code or its English name. Locales such as `de-AT` and the language's own name, \
             such as `Deutsch`, are accepted, too.";
        names_schema(names, description)
    }
}

/// The schema of a task: `transcribe` or `translate`.
pub struct TaskName;

impl ToSchema for TaskName {}

impl PartialSchema for TaskName {
    fn schema() -> RefOr<Schema> {
        names_schema(
            Task::VARIANTS.iter().copied(),
            "Whether to write in the spoken language (`transcribe`) or in English (`translate`).",
        )
    }
}

/// The schema of a response body that is a stream of server-sent events.
pub struct Events;

impl ToSchema for Events {}

impl PartialSchema for Events {
    fn schema() -> RefOr<Schema> {
        // The response body is text, but each event in it is an object. Some validation tools check the body and
        // others check the events, so the schema allows any type.
        ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some("Server-sent events.")).into()
    }
}

/// The schema of a string that must be one of `names`.
pub fn names_schema(names: impl IntoIterator<Item: Into<serde_json::Value>>, description: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).description(Some(description)).into()
}
