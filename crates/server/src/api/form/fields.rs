//! Reads option values by name from a multipart form or from a JSON object.

use std::fmt::Display;
use std::str::FromStr;

use strum::VariantNames;

use crate::error::ApiError;

/// Option values by name. Reading a value removes it, so the values that remain at the end are unknown options.
pub trait Fields {
    /// The value of a field, or `None` if it is missing or empty.
    ///
    /// # Errors
    /// An [`ApiError`] with status 400 if the field is given more than once.
    fn text(&mut self, name: &str) -> Result<Option<String>, ApiError>;

    /// The values of a list field. Empty if the field is missing.
    fn list(&mut self, name: &str) -> Vec<String>;

    /// The members of an object that is sent as form fields `name[key]`: pairs of key and value.
    fn object(&mut self, name: &str) -> Vec<(String, String)>;
}

/// Reads a field and parses its value.
pub fn value<T: FromStr<Err: Display>>(fields: &mut dyn Fields, name: &str) -> Result<Option<T>, ApiError> {
    fields.text(name)?.map(|text| parse(name, &text)).transpose()
}

/// Reads a list field and parses each value.
pub fn values<T: FromStr<Err: Display>>(fields: &mut dyn Fields, name: &str) -> Result<Vec<T>, ApiError> {
    fields.list(name).iter().map(|text| parse(name, text)).collect()
}

/// Reads a field whose value is the name of an enum variant.
pub fn variant<T: FromStr + VariantNames>(fields: &mut dyn Fields, name: &str) -> Result<Option<T>, ApiError> {
    fields.text(name)?.map(|text| parse_variant(name, text.trim())).transpose()
}

/// Reads a list field whose values are names of enum variants.
pub fn variants<T: FromStr + VariantNames>(fields: &mut dyn Fields, name: &str) -> Result<Vec<T>, ApiError> {
    fields.list(name).iter().map(|text| parse_variant(name, text)).collect()
}

/// Parses the name of an enum variant.
///
/// # Errors
/// An [`ApiError`] with status 400 that lists the valid names.
pub fn parse_variant<T: FromStr + VariantNames>(name: &str, text: &str) -> Result<T, ApiError> {
    let error = |_| ApiError::invalid(format!("{name}: expected one of {}", T::VARIANTS.join(", "))).with_param(name);
    text.parse().map_err(error)
}

fn parse<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, ApiError> {
    text.trim().parse().map_err(|error| ApiError::invalid(format!("{name}: {error}")).with_param(name))
}
