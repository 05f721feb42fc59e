//! The kernels of this machine's processor.

use amanuensis_kernels::Context;
use amanuensis_kernels::gemm::{Epilogue, Output, PackedI8, QuantisedRows, gemm_int8};

use super::{Backend, Matrix, Product, Rows};

pub(super) struct Cpu;

impl Backend for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn prepare(&self, context: &Context, weights: &Matrix<'_>) -> Box<dyn Product> {
        Box::new(match weights.rows {
            Rows::F32(write) => PackedI8::quantise(context, weights.n, weights.k, write),
            Rows::Int8(write) => PackedI8::from_int8(context, weights.n, weights.k, write),
        })
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
