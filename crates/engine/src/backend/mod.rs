//! The interface between the networks and the device that computes their int8 matrix products.
//!
//! A [`Backend`] gets the weights of each layer once and returns a [`Product`], which multiplies activations with
//! these weights. Sums are exact in i32, so all backends return the same bits. To add a backend, write a file in this
//! directory and add a line to `BACKENDS` in `registry.rs`.

mod choice;
mod cpu;
mod interface;
mod registry;
#[cfg(feature = "npu")]
mod usage;
#[cfg(feature = "npu")]
mod xdna;
#[cfg(not(feature = "npu"))]
#[path = "xdna_absent.rs"]
mod xdna;

pub(crate) use self::choice::{Chosen, check_options, choose};
pub(crate) use self::cpu::Cpu;
pub use self::interface::{Backend, Matrix, Product, Rows};
#[cfg(feature = "npu")]
pub use self::usage::Usage;
#[cfg(feature = "npu")]
#[doc(hidden)]
pub use self::xdna::open_fake_with_faults;
