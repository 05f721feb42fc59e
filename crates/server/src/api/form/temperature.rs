//! The sampling temperature of a request.

use std::str::FromStr;

use amanuensis_transcribe::TranscribeOptions;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The smallest temperature above 0 that is allowed. The logits are divided by the temperature, so it must not be too
/// close to 0.
const MIN_SAMPLING: f32 = 0.01;

/// A sampling temperature: 0, or between 0.01 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Temperature(f32);

impl Temperature {
    /// The list of temperatures at which a window of the recording is decoded, one after the other, until the result
    /// is good enough: this temperature, then all default temperatures that are higher.
    pub fn with_fallback(self) -> Vec<f32> {
        let default = TranscribeOptions::default().temperatures;
        std::iter::once(self.0).chain(default.into_iter().filter(|next| *next > self.0)).collect()
    }
}

/// The error for text that is not a valid temperature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 0, or between 0.01 and 1")]
pub struct InvalidTemperature;

impl FromStr for Temperature {
    type Err = InvalidTemperature;

    fn from_str(text: &str) -> Result<Self, InvalidTemperature> {
        let temperature = text.parse().map_err(|_| InvalidTemperature)?;
        let is_valid = temperature == 0.0 || (MIN_SAMPLING..=1.0).contains(&temperature);
        is_valid.then_some(Self(temperature)).ok_or(InvalidTemperature)
    }
}

impl ToSchema for Temperature {}

impl PartialSchema for Temperature {
    fn schema() -> RefOr<Schema> {
        let range =
            |min: f64, max: f64| ObjectBuilder::new().schema_type(Type::Number).minimum(Some(min)).maximum(Some(max));
        let description = "Sampling temperature of the first attempt. 0 means deterministic decoding. If the result of a \
             window is rejected, the window is decoded again at higher temperatures.";
        AnyOfBuilder::new().item(range(0.0, 0.0)).item(range(0.01, 1.0)).description(Some(description)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fallback_starts_at_the_requested_temperature() {
        let temperatures = |text: &str| text.parse().map(Temperature::with_fallback);
        assert_eq!(temperatures("0"), Ok(TranscribeOptions::default().temperatures));
        assert_eq!(temperatures("0.4"), Ok(vec![0.4, 0.6, 0.8, 1.0]));
        assert_eq!(temperatures("1"), Ok(vec![1.0]));
    }

    #[test]
    fn temperatures_out_of_range_are_rejected() {
        for text in ["2", "-0.1", "0.001", "NaN", "inf", "warm", ""] {
            assert_eq!(text.parse::<Temperature>(), Err(InvalidTemperature), "{text}");
        }
    }
}
