//! Reading option values by name, from a multipart form or from a JSON object.

use std::fmt::Display;
use std::str::FromStr;

use strum::VariantNames;

use crate::error::ApiError;

/// Named option values. Reading a value removes it: the values that are left at the end are unknown options.
pub trait Fields {
    /// The value of a field, or `None` if it is missing or empty.
    ///
    /// # Errors
    /// An [`ApiError`] with status 400 if the field is given more than once.
    fn text(&mut self, name: &str) -> Result<Option<String>, ApiError>;

    /// The values of a list; empty if it is missing.
    fn list(&mut self, name: &str) -> Vec<String>;

    /// The members of an object that is sent as fields `name[key]`, as pairs of key and value.
    fn object(&mut self, name: &str) -> Vec<(String, String)>;
}

/// Reads a field and parses it.
pub fn value<T: FromStr<Err: Display>>(fields: &mut dyn Fields, name: &str) -> Result<Option<T>, ApiError> {
    fields.text(name)?.map(|text| parse(name, &text)).transpose()
}

/// Reads a list and parses its values.
pub fn values<T: FromStr<Err: Display>>(fields: &mut dyn Fields, name: &str) -> Result<Vec<T>, ApiError> {
    fields.list(name).iter().map(|text| parse(name, text)).collect()
}

/// Reads a field that names a variant of an enum.
pub fn variant<T: FromStr + VariantNames>(fields: &mut dyn Fields, name: &str) -> Result<Option<T>, ApiError> {
    fields.text(name)?.map(|text| parse_variant(name, text.trim())).transpose()
}

/// Reads a list whose values name variants of an enum.
pub fn variants<T: FromStr + VariantNames>(fields: &mut dyn Fields, name: &str) -> Result<Vec<T>, ApiError> {
    fields.list(name).iter().map(|text| parse_variant(name, text)).collect()
}

/// Parses the name of a variant of an enum.
///
/// # Errors
/// An [`ApiError`] with status 400 that lists the names.
pub fn parse_variant<T: FromStr + VariantNames>(name: &str, text: &str) -> Result<T, ApiError> {
    let error = |_| ApiError::invalid(format!("{name}: expected one of {}", T::VARIANTS.join(", "))).with_param(name);
    text.parse().map_err(error)
}

fn parse<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, ApiError> {
    text.trim().parse().map_err(|error| ApiError::invalid(format!("{name}: {error}")).with_param(name))
}
