//! The native runtime, which computes the networks with the kernels of this project.

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
