//! The seam between the networks and whatever multiplies int8 matrices for them.
//!
//! A [`Backend`] takes the weights of a layer once ([`Backend::prepare`]) and gives back a [`Product`] that multiplies
//! activations with them. Sums are exact in i32, so every backend returns the same bits. To add one: one file here, one
//! line in [`BACKENDS`].

mod choice;
mod cpu;
mod xdna;

use std::sync::Arc;

use amanuensis_kernels::Context;
use amanuensis_kernels::gemm::{Epilogue, Output, QuantisedRows};

pub(crate) use choice::{Chosen, choose};
pub use choice::{Device, DeviceOptions};
pub(crate) use cpu::Cpu;
pub use xdna::Usage;

/// Something that multiplies int8 matrices.
pub trait Backend: Send + Sync {
    /// Its name in options and reports.
    fn name(&self) -> &'static str;

    /// Takes the weights of a layer in whatever form suits it.
    fn prepare(&self, context: &Context, weights: &Matrix<'_>) -> Box<dyn Product>;

    /// Why it has given up, and leaves the work to the processor; once.
    fn take_failure(&self) -> Option<String> {
        None
    }

    /// What it was used for, where that is counted.
    fn usage(&self) -> Option<Usage> {
        None
    }
}

/// The prepared weights of a layer.
pub trait Product: Send + Sync {
    /// `(n, k)`: output channels and depth.
    fn shape(&self) -> (usize, usize);

    /// `output = epilogue(a x weights^T)`; `a` is `(m, k)`, the output `(m, n)`.
    fn gemm(&self, context: &Context, a: &QuantisedRows, epilogue: &Epilogue<'_>, output: Output<'_>);
}

/// The weights of a layer as the model's file has them, `(n, k)`.
pub struct Matrix<'a> {
    /// Output channels.
    pub n: usize,
    /// Depth.
    pub k: usize,
    /// The values, one output channel at a time, from any thread.
    pub rows: Rows<'a>,
}

/// How to get at the values of a [`Matrix`].
pub enum Rows<'a> {
    /// `write(channel, out)` gives the f32 values of a channel, to be quantised.
    F32(&'a (dyn Fn(usize, &mut [f32]) + Sync)),
    /// `write(channel, out)` gives the int8 values of a channel and returns their scale.
    Int8(&'a (dyn Fn(usize, &mut [i8]) -> f32 + Sync)),
}

/// How to come by a backend.
pub struct Opener {
    /// The device whose backend this is.
    pub device: Device,
    /// Makes it, or says why it cannot be had.
    pub open: fn(&DeviceOptions) -> Result<Arc<dyn Backend>, Unavailable>,
    /// Whether `auto` tries it.
    pub is_automatic: bool,
}

/// Why a backend cannot be had.
pub enum Unavailable {
    /// The machine has no such device.
    Absent(String),
    /// It has one that cannot be used.
    Unusable(String),
}

/// Every backend, best first.
pub const BACKENDS: &[Opener] = &[
    Opener { device: Device::Npu, open: xdna::open, is_automatic: true },
    Opener { device: Device::NpuFake, open: xdna::open_fake, is_automatic: false },
    Opener { device: Device::Cpu, open: cpu::open, is_automatic: true },
];
