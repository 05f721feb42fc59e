//! The backend that uses the CPU.

use std::sync::Arc;

use amanuensis_kernels::Context;
use amanuensis_kernels::gemm::{Epilogue, Output, PackedI8, QuantisedRows, gemm_int8};

use super::interface::{Backend, Matrix, Opened, Product, Rows};
use crate::options::DeviceOptions;

pub(crate) struct Cpu;

#[allow(clippy::unnecessary_wraps, reason = "opening other backends can fail, and the registry needs one signature")]
pub(super) fn open(_: &DeviceOptions) -> Opened {
    Ok(Arc::new(Cpu))
}

/// Packs the weights of a layer for the CPU kernels.
pub(super) fn pack(context: &Context, weights: &Matrix<'_>) -> PackedI8 {
    match weights.rows {
        Rows::F32(read) => PackedI8::quantise(context, weights.n, weights.k, read),
        Rows::Int8(read) => PackedI8::from_int8(context, weights.n, weights.k, read),
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
