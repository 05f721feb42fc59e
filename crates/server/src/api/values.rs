//! What fields of forms may hold, for the document of the interface.

use amanuensis_transcribe::Language;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use super::chunking::ServerVad;

/// A language, as people write it.
pub struct Spoken;

impl ToSchema for Spoken {}

impl PartialSchema for Spoken {
    fn schema() -> RefOr<Schema> {
        let names = Language::all().flat_map(|language| [language.code(), language.name()]);
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(names))
            .description(Some(
                "A language: its code, or its English name; a locale such as `de-AT` and `Deutsch` do, too.",
            ))
            .into()
    }
}

/// Server-sent events.
pub struct Events;

impl ToSchema for Events {}

impl PartialSchema for Events {
    fn schema() -> RefOr<Schema> {
        // A stream is text, and each of its events an object: clients look at it in either way.
        ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some("Server-sent events.")).into()
    }
}

/// A temperature.
pub struct Temperature;

impl ToSchema for Temperature {}

impl PartialSchema for Temperature {
    fn schema() -> RefOr<Schema> {
        let range = |least: f64, most: f64| {
            ObjectBuilder::new().schema_type(Type::Number).minimum(Some(least)).maximum(Some(most))
        };
        let description = "Where decoding begins: 0 leaves nothing to chance until a text is not believed.";
        AnyOfBuilder::new().item(range(0.0, 0.0)).item(range(0.01, 1.0)).description(Some(description)).into()
    }
}

/// Of what there are times.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it is documentation: values are texts until they are taken")]
pub enum Granularity {
    Word,
    Segment,
}

/// What can be included.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it is documentation: values are texts until they are taken")]
pub enum Included {
    Logprobs,
}

/// Whether to write in the language spoken, or in English.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it is documentation: values are texts until they are taken")]
pub enum TaskName {
    Transcribe,
    Translate,
}

/// How a job stands.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it is documentation: values are texts until they are taken")]
pub enum StateName {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

/// What counts as speech: what the server thinks best, or what is said.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is documentation: values are texts until they are taken")]
pub enum Chunking {
    Auto(Auto),
    ServerVad(ServerVad),
}

/// The server's own ideas.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it is documentation: values are texts until they are taken")]
pub enum Auto {
    Auto,
}
