//! The decoding options that requests, jobs and live sessions can set.
//!
//! The table [`OPTIONS`] is used to read requests and to generate the schemas of the `OpenAPI` document. To add an
//! option, add an entry to the table.

use amanuensis_transcribe::{Language, Task, TranscribeOptions};
use strum::{EnumString, VariantNames};
use utoipa::openapi::schema::{Array, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::chunking_strategy::{self, Chunking};
use super::fields::{Fields, value, values, variant, variants};
use super::temperature::Temperature;
use crate::api::schemas::{LanguageName, TaskName};
use crate::error::ApiError;

/// The kinds of endpoints that accept decoding options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    Transcriptions,
    Translations,
    Jobs,
    Realtime,
}

/// The decoding options that a request has set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DecodingParams {
    pub options: TranscribeOptions,
    /// The keywords as a list. `options.hotwords` has the same keywords, joined to one string.
    pub keywords: Vec<String>,
    /// The units for which the request wants timestamps. Empty if the request names none.
    pub granularities: Vec<Granularity>,
}

/// A unit of text, such as a word, that can get timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, VariantNames, ToSchema)]
#[strum(serialize_all = "snake_case")]
#[schema(rename_all = "snake_case")]
pub enum Granularity {
    Word,
    Segment,
}

/// One entry of the table of decoding options: the form field, and how to read it.
struct DecodingOption {
    /// The name of the form field. If the option is a list, the name ends in `[]`.
    field: &'static str,
    description: &'static str,
    value: ValueSchema,
    endpoints: &'static [Endpoint],
    read: fn(&mut dyn Fields, &mut DecodingParams) -> Result<(), ApiError>,
}

const UPLOADS: &[Endpoint] = &[Endpoint::Transcriptions, Endpoint::Jobs];
const UPLOADS_AND_REALTIME: &[Endpoint] = &[Endpoint::Transcriptions, Endpoint::Jobs, Endpoint::Realtime];
const ALL_UPLOADS: &[Endpoint] = &[Endpoint::Transcriptions, Endpoint::Translations, Endpoint::Jobs];
const ALL: &[Endpoint] = &[Endpoint::Transcriptions, Endpoint::Translations, Endpoint::Jobs, Endpoint::Realtime];

const OPTIONS: &[DecodingOption] = &[
    DecodingOption {
        field: "task",
        description: "",
        value: ValueSchema::reference::<TaskName>(),
        endpoints: &[Endpoint::Jobs],
        read: |fields, params| {
            params.options.task = variant::<Task>(fields, "task")?.unwrap_or_default();
            Ok(())
        },
    },
    DecodingOption {
        field: "language",
        description: "The spoken language. If it is not given, it is detected.",
        value: ValueSchema::reference::<LanguageName>(),
        endpoints: UPLOADS_AND_REALTIME,
        read: |fields, params| {
            params.options.language = value::<Language>(fields, "language")?;
            Ok(())
        },
    },
    DecodingOption {
        field: "languages[]",
        description: "Candidates for language detection. Cannot be combined with `language`.",
        value: ValueSchema::reference::<LanguageName>(),
        endpoints: UPLOADS_AND_REALTIME,
        read: |fields, params| {
            params.options.languages = values::<Language>(fields, "languages")?;
            Ok(())
        },
    },
    DecodingOption {
        field: "prompt",
        description: "Text that the model gets as context of every window: names, spelling, style. For translations, the prompt must be in English.",
        value: ValueSchema::STRING,
        endpoints: ALL,
        read: |fields, params| {
            params.options.initial_prompt = fields.text("prompt")?;
            Ok(())
        },
    },
    DecodingOption {
        field: "keywords[]",
        description: "Words that are likely to occur.",
        value: ValueSchema::STRING,
        endpoints: UPLOADS_AND_REALTIME,
        read: |fields, params| {
            params.keywords = fields.list("keywords");
            params.options.hotwords = Some(params.keywords.join(", ")).filter(|words| !words.is_empty());
            Ok(())
        },
    },
    DecodingOption {
        field: "temperature",
        description: "",
        value: ValueSchema::reference::<Temperature>(),
        endpoints: ALL_UPLOADS,
        read: |fields, params| {
            if let Some(temperature) = value::<Temperature>(fields, "temperature")? {
                params.options.temperatures = temperature.with_fallback();
            }
            Ok(())
        },
    },
    DecodingOption {
        field: "timestamp_granularities[]",
        description: "Units that get timestamps: `word`, `segment` or both. Transcriptions have timestamps only in the format \
                      `verbose_json`.",
        value: ValueSchema::reference::<Granularity>(),
        endpoints: UPLOADS,
        read: |fields, params| {
            params.granularities = variants(fields, "timestamp_granularities")?;
            params.options.word_timestamps = params.granularities.contains(&Granularity::Word);
            Ok(())
        },
    },
    DecodingOption {
        field: "chunking_strategy",
        description: "",
        value: ValueSchema::reference::<Chunking>(),
        endpoints: UPLOADS,
        read: |fields, params| {
            params.options.vad = Some(chunking_strategy::read(fields)?);
            Ok(())
        },
    },
];

impl DecodingParams {
    /// Reads the options that `endpoint` supports.
    ///
    /// # Errors
    /// An [`ApiError`] with status 400 that names the invalid field.
    pub fn read(fields: &mut dyn Fields, endpoint: Endpoint) -> Result<Self, ApiError> {
        let mut params = Self::default();
        for option in options_of(endpoint) {
            (option.read)(fields, &mut params)?;
        }
        Ok(params)
    }

    /// If there is exactly one candidate language, makes it the spoken language, so that no language detection is
    /// needed.
    ///
    /// # Errors
    /// An [`ApiError`] with status 400 if the request has both `language` and `languages`.
    pub fn resolve_language(&mut self) -> Result<(), ApiError> {
        let TranscribeOptions { language, languages, .. } = &mut self.options;
        if language.is_some() && !languages.is_empty() {
            let message = "`language` and `languages[]` cannot be combined";
            return Err(ApiError::invalid(message).with_param("languages"));
        }
        if languages.len() == 1 {
            *language = languages.pop();
        }
        Ok(())
    }
}

fn options_of(endpoint: Endpoint) -> impl Iterator<Item = &'static DecodingOption> {
    OPTIONS.iter().filter(move |option| option.endpoints.contains(&endpoint))
}

/// Named schemas for the `OpenAPI` document: pairs of name and schema.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// How to build the `OpenAPI` schema of an option's value. If the option is a list, this is the schema of one item.
struct ValueSchema {
    /// Takes the description of the option. Returns a schema, or a reference to a named schema, with this
    /// description.
    schema: fn(&str) -> RefOr<Schema>,
    /// Adds to the given list the named schemas to which `schema` refers.
    add_referenced: fn(&mut Schemas),
}

impl ValueSchema {
    const STRING: Self = Self {
        schema: |description| {
            let description = Some(description).filter(|text| !text.is_empty());
            ObjectBuilder::new().schema_type(Type::String).description(description).into()
        },
        add_referenced: |_| {},
    };

    /// A schema that consists only of a reference to the named schema of the type `T`.
    const fn reference<T: ToSchema>() -> Self {
        Self {
            schema: |description| {
                let mut reference = Ref::from_schema_name(T::name());
                description.clone_into(&mut reference.description);
                RefOr::Ref(reference)
            },
            add_referenced: |schemas| {
                schemas.push((T::name().into_owned(), T::schema()));
                T::schemas(schemas);
            },
        }
    }
}

/// The schema of the form of `endpoint`. It contains the fields of `T`, and the decoding options that the endpoint
/// supports.
pub fn form_schema<T: PartialSchema>(endpoint: Endpoint) -> RefOr<Schema> {
    let mut schema = T::schema();
    if let RefOr::T(Schema::Object(form)) = &mut schema {
        for option in options_of(endpoint) {
            form.properties.insert(option.field.to_owned(), option.schema());
        }
    }
    schema
}

/// Adds to `schemas` the named schemas to which the result of [`form_schema`] refers.
pub fn add_form_schemas<T: ToSchema>(endpoint: Endpoint, schemas: &mut Schemas) {
    T::schemas(schemas);
    options_of(endpoint).for_each(|option| (option.value.add_referenced)(schemas));
}

impl DecodingOption {
    fn schema(&self) -> RefOr<Schema> {
        if !self.field.ends_with("[]") {
            return (self.value.schema)(self.description);
        }
        let mut list = Array::new((self.value.schema)(""));
        list.description = Some(self.description.to_owned());
        RefOr::T(Schema::Array(list))
    }
}

#[cfg(test)]
mod tests {
    use super::super::multipart::Form;
    use super::*;

    fn read(fields: &[(&str, &str)]) -> Result<TranscribeOptions, ApiError> {
        let mut params = DecodingParams::read(&mut Form::of(fields), Endpoint::Jobs)?;
        params.resolve_language()?;
        Ok(params.options)
    }

    #[test]
    fn every_option_is_read() {
        let fields = [
            ("task", "translate"),
            ("language", "German"),
            ("prompt", "Guten Tag."),
            ("keywords[]", "Amanuensis"),
            ("keywords[]", "Gänge"),
            ("temperature", "0.4"),
            ("timestamp_granularities[]", "word"),
            ("chunking_strategy", r#"{"type":"server_vad","threshold":0.6}"#),
        ];
        let options = read(&fields).unwrap();
        assert_eq!((options.task, options.language.map(Language::code)), (Task::Translate, Some("de")));
        assert_eq!(options.initial_prompt.as_deref(), Some("Guten Tag."));
        assert_eq!(options.hotwords.as_deref(), Some("Amanuensis, Gänge"));
        assert_eq!(options.temperatures, [0.4, 0.6, 0.8, 1.0]);
        assert!(options.word_timestamps && options.vad.is_some_and(|vad| vad.threshold > 0.5));
    }

    #[test]
    fn missing_and_empty_fields_get_the_default_values() {
        assert_eq!(read(&[]).unwrap(), TranscribeOptions::default());
        assert_eq!(read(&[("language", ""), ("prompt", " ")]).unwrap(), TranscribeOptions::default());
    }

    #[test]
    fn a_single_candidate_language_becomes_the_spoken_language() {
        let several = read(&[("languages[]", "de"), ("languages[]", "fr")]).unwrap();
        assert_eq!((several.language, several.languages.len()), (None, 2));
        let one = read(&[("languages[]", "de")]).unwrap();
        assert_eq!((one.language.map(Language::code), one.languages.len()), (Some("de"), 0));
    }

    #[test]
    fn invalid_values_are_rejected() {
        let rejected = [
            (&[("task", "summarise")][..], "task"),
            (&[("language", "klingon")], "language"),
            (&[("languages[]", "klingon")], "languages"),
            (&[("language", "de"), ("languages[]", "fr")], "languages"),
            (&[("temperature", "2")], "temperature"),
            (&[("temperature", "NaN")], "temperature"),
            (&[("timestamp_granularities[]", "letter")], "timestamp_granularities"),
            (&[("chunking_strategy", "none")], "chunking_strategy"),
            (&[("prompt", "a"), ("prompt", "b")], "prompt"),
        ];
        for (fields, param) in rejected {
            let error = read(fields).unwrap_err();
            assert_eq!(error.status(), 400, "{fields:?}");
            assert_eq!(error.body().error.param.as_deref(), Some(param), "{error:?}");
        }
    }

    #[test]
    fn an_endpoint_does_not_read_options_of_other_endpoints() {
        let mut form = Form::of(&[("language", "de"), ("prompt", "Hello.")]);
        let params = DecodingParams::read(&mut form, Endpoint::Translations).unwrap();
        assert_eq!((params.options.language, params.options.initial_prompt.as_deref()), (None, Some("Hello.")));
        // This endpoint does not support the option. The option has therefore not been read and is still in the form,
        // so `finish` rejects it.
        assert!(form.finish().is_err());
    }
}
