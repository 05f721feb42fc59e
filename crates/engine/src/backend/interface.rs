//! The traits that a backend implements.

use std::sync::Arc;

use amanuensis_kernels::Context;
use amanuensis_kernels::gemm::{Epilogue, Output, QuantisedRows};

#[cfg(feature = "npu")]
use super::usage::Usage;

/// A device that computes int8 matrix products.
pub trait Backend: Send + Sync {
    /// The name of the device in options and reports.
    fn name(&self) -> &'static str;

    /// Prepares the weights of a layer for multiplication, for example by copying them to the device.
    fn prepare(&self, context: &Context, weights: &Matrix<'_>) -> Box<dyn Product>;

    /// Returns the reason why the device has failed, and forgets it. After a failure the CPU takes over. Returns
    /// `None` if the device has not failed, or if the reason was returned before.
    fn take_failure(&self) -> Option<String> {
        None
    }

    /// The work that the device has done so far. `None` if the backend does not count it.
    #[cfg(feature = "npu")]
    fn usage(&self) -> Option<Usage> {
        None
    }
}

/// The weights of a layer, prepared for multiplication on a device.
pub trait Product: Send + Sync {
    /// The shape of the weights, `(n, k)`: output channels and input channels.
    fn shape(&self) -> (usize, usize);

    /// Computes `output = epilogue(a x weights^T)`, where `a` is `(m, k)` and the output is `(m, n)`. The epilogue
    /// applies scales, bias and activation.
    fn gemm(&self, context: &Context, a: &QuantisedRows, epilogue: &Epilogue<'_>, output: Output<'_>);
}

/// The weights of a layer as they are stored in the model's file, `(n, k)`.
pub struct Matrix<'a> {
    /// Number of output channels.
    pub n: usize,
    /// Number of input channels.
    pub k: usize,
    /// The function that reads the values of one output channel. It can be called from any thread.
    pub rows: Rows<'a>,
}

/// Functions that read the values of a [`Matrix`].
pub enum Rows<'a> {
    /// `read(channel, out)` writes the f32 values of a channel to `out`. The backend quantises them.
    F32(&'a (dyn Fn(usize, &mut [f32]) + Sync)),
    /// `read(channel, out)` writes the int8 values of a channel to `out` and returns their scale.
    Int8(&'a (dyn Fn(usize, &mut [i8]) -> f32 + Sync)),
}

/// The reason why a backend cannot be used.
pub(super) enum Unavailable {
    /// The machine has no such device, or the build has no support for it.
    Absent(String),
    /// The device is present but cannot be used, for example because of missing permissions.
    #[cfg_attr(not(feature = "npu"), allow(dead_code, reason = "the CPU is never unusable"))]
    Unusable(String),
}

/// The result of opening a backend.
pub(super) type Opened = Result<Arc<dyn Backend>, Unavailable>;
