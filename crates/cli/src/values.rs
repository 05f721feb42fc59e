//! Parsers for the values of options that several commands have.

use std::str::FromStr;

use amanuensis_transcribe::OutputFormat;
use clap::builder::{PossibleValue, PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use strum::VariantNames;

/// One of the names of an enum.
pub fn name_of<T>() -> impl TypedValueParser<Value = T>
where
    T: VariantNames + FromStr<Err: std::error::Error + Send + Sync> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(T::VARIANTS).try_map(|name| name.parse::<T>())
}

pub fn thread_counts() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..=1024)
}

pub fn batch_sizes() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..=32)
}

pub fn output_formats() -> impl TypedValueParser<Value = OutputFormat> {
    let values = OutputFormat::all().map(|format| PossibleValue::new(format.name()).help(format.description()));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<OutputFormat>())
}
