//! The input of a linear layer, in the number format that the layer computes in.

use amanuensis_kernels::Context;
use amanuensis_kernels::gemm::{QuantisedRows, RowsF32};
use amanuensis_kernels::norm::layer_norm;

use super::layer_norm::LayerNorm;
use crate::options::ComputeType;

/// A matrix `(rows, k)` that is the input of a linear layer. New contents reuse its memory.
#[derive(Debug)]
pub(crate) enum Activations {
    /// Input of f32 layers, whose results are the reference for int8.
    F32 {
        /// The values, `(rows, k)`.
        values: Vec<f32>,
        /// Number of elements in a row.
        k: usize,
    },
    /// Input of int8 layers. Each row has its own scale.
    Int8(QuantisedRows),
}

impl Activations {
    pub(crate) fn new(compute_type: ComputeType) -> Self {
        match compute_type {
            ComputeType::F32 => Self::F32 { values: Vec::new(), k: 1 },
            ComputeType::Int8 => Self::Int8(QuantisedRows::default()),
        }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::F32 { values, k } => values.len() / k,
            Self::Int8(quantised) => quantised.rows(),
        }
    }

    /// Replaces the contents of the matrix by `rows`, in the same number format as before.
    pub(crate) fn assign(&mut self, context: &Context, rows: RowsF32<'_>) {
        match self {
            Self::F32 { values, k } => {
                *k = rows.k;
                values.clear();
                (0..rows.rows).for_each(|row| values.extend_from_slice(rows.row(row)));
            }
            Self::Int8(quantised) => quantised.assign(context, rows),
        }
    }

    /// Replaces the contents of the matrix by the layer norm of `rows`, in the same number format as before.
    pub(crate) fn assign_norm(&mut self, context: &Context, rows: RowsF32<'_>, norm: &LayerNorm) {
        match self {
            Self::F32 { values, k } => {
                *k = rows.k;
                values.resize(rows.rows * rows.k, 0.0);
                layer_norm(context, rows, &norm.weight, &norm.bias, values);
            }
            Self::Int8(quantised) => quantised.assign_layer_norm(context, rows, &norm.weight, &norm.bias),
        }
    }
}
