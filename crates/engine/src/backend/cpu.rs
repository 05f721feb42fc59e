//! The kernels of this machine's processor.

use std::sync::Arc;

use amanuensis_kernels::Context;
use amanuensis_kernels::gemm::{Epilogue, Output, PackedI8, QuantisedRows, gemm_int8};

use super::{Backend, DeviceOptions, Matrix, Product, Rows, Unavailable};

pub(crate) struct Cpu;

#[allow(clippy::unnecessary_wraps, reason = "other backends cannot always be had")]
pub(super) fn open(_: &DeviceOptions) -> Result<Arc<dyn Backend>, Unavailable> {
    Ok(Arc::new(Cpu))
}

/// The weights of a layer in the form that the kernels want.
pub(super) fn pack(context: &Context, weights: &Matrix<'_>) -> PackedI8 {
    match weights.rows {
        Rows::F32(write) => PackedI8::quantise(context, weights.n, weights.k, write),
        Rows::Int8(write) => PackedI8::from_int8(context, weights.n, weights.k, write),
    }
}

impl Backend for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn prepare(&self, context: &Context, weights: &Matrix<'_>) -> Box<dyn Product> {
        Box::new(pack(context, weights))
    }
}

impl Product for PackedI8 {
    fn shape(&self) -> (usize, usize) {
        (self.n(), self.k())
    }

    fn gemm(&self, context: &Context, a: &QuantisedRows, epilogue: &Epilogue<'_>, output: Output<'_>) {
        gemm_int8(context, a, self, epilogue, output);
    }
}
