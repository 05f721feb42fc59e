//! The networks in this crate's own arithmetic.

mod activations;
mod decoder;
mod encoder;
mod layer_norm;
mod linear;
mod model;

pub(crate) use self::activations::Activations;
pub(crate) use self::layer_norm::LayerNorm;
pub(crate) use self::linear::{Linear, Weights};
pub(crate) use self::model::NativeModel;
