//! Reads option values by name from a multipart form or from a JSON object.

use std::fmt::Display;
use std::str::FromStr;

use strum::VariantNames;

use crate::error::ApiError;

/// Option values that can be read by name. Reading a value removes it, so the values that remain at the end are
/// unknown options.
pub trait Fields {
    /// Removes a field and returns its value. `None` if the field is missing or empty.
    ///
    /// # Errors
    /// An [`ApiError`] with status 400 if the field is given more than once.
    fn text(&mut self, name: &str) -> Result<Option<String>, ApiError>;

    /// Removes all values of a list field and returns them. Empty if the field is missing.
    fn list(&mut self, name: &str) -> Vec<String>;

    /// Removes the form fields `name[key]`, which are the members of an object, and returns them as pairs of key and
    /// value.
    fn object(&mut self, name: &str) -> Vec<(String, String)>;
}

/// Removes a field and parses its value with [`FromStr`].
pub fn value<T: FromStr<Err: Display>>(fields: &mut dyn Fields, name: &str) -> Result<Option<T>, ApiError> {
    fields.text(name)?.map(|text| parse(name, &text)).transpose()
}

/// Removes a list field and parses each of its values with [`FromStr`].
pub fn values<T: FromStr<Err: Display>>(fields: &mut dyn Fields, name: &str) -> Result<Vec<T>, ApiError> {
    fields.list(name).iter().map(|text| parse(name, text)).collect()
}

/// Removes a field whose value is the name of an enum variant, and parses it.
pub fn variant<T: FromStr + VariantNames>(fields: &mut dyn Fields, name: &str) -> Result<Option<T>, ApiError> {
    fields.text(name)?.map(|text| parse_variant(name, text.trim())).transpose()
}

/// Removes a list field whose values are names of enum variants, and parses each of them.
pub fn variants<T: FromStr + VariantNames>(fields: &mut dyn Fields, name: &str) -> Result<Vec<T>, ApiError> {
    fields.list(name).iter().map(|text| parse_variant(name, text)).collect()
}

/// Parses `text` as the name of an enum variant. The error names the parameter `name`.
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
