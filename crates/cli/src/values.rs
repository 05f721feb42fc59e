//! Parsers for the values of command line options that several commands share.

use std::ffi::OsString;
use std::str::FromStr;

use amanuensis_transcribe::OutputFormat;
use clap::builder::{
    NonEmptyStringValueParser, OsStringValueParser, PossibleValue, PossibleValuesParser, RangedU64ValueParser,
    TypedValueParser,
};
use strum::VariantNames;

use crate::input::Input;

/// Parses the name of a variant of the enum `T`, for example `batched`.
pub fn name_of<T>() -> impl TypedValueParser<Value = T>
where
    T: VariantNames + FromStr<Err: std::error::Error + Send + Sync> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(T::VARIANTS).try_map(|name| name.parse::<T>())
}

/// Parses the name of a model, or the path of a model directory or weight file.
pub fn model() -> impl TypedValueParser<Value = String> {
    NonEmptyStringValueParser::new()
}

pub fn thread_count() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..=1024)
}

pub fn batch_size() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..=32)
}

/// Parses a duration in milliseconds, up to one minute.
pub fn milliseconds() -> impl TypedValueParser<Value = u64> {
    RangedU64ValueParser::<u64>::new().range(0..=60_000)
}

pub fn output_format() -> impl TypedValueParser<Value = OutputFormat> {
    let values = OutputFormat::all().map(|format| PossibleValue::new(format.name()).help(format.description()));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<OutputFormat>())
}

/// Parses the argument for a recording: the path of a file, or `-` for standard input.
pub fn recording() -> impl TypedValueParser<Value = Input> {
    OsStringValueParser::new().try_map(parse_recording)
}

fn parse_recording(argument: OsString) -> Result<Input, &'static str> {
    match argument.to_str() {
        Some("") => Err("the name is empty"),
        Some("-") => Ok(Input::Stdin),
        _ => Ok(Input::File(argument.into())),
    }
}

/// Parses a number of hypotheses: the beam size, or the number of hypotheses to sample.
pub fn hypotheses() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..=32)
}
