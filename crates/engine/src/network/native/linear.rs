//! Linear layers: packed weights with an optional bias and an activation. Both are applied while the matrix product
//! is written.

use amanuensis_kernels::Context;
use amanuensis_kernels::gemm::{Activation, Epilogue, Output, PackedF32, RowsF32, gemm_f32};

use super::activations::Activations;
use crate::backend::Product;

/// A linear layer `activation(x W^T + b)`. A convolution is also a linear layer, over adjacent frames.
pub(crate) struct Linear {
    pub(crate) weights: Weights,
    /// The bias, `(n)`. `None` if the layer has none.
    pub(crate) bias: Option<Vec<f32>>,
    pub(crate) activation: Activation,
}

/// The weights of a layer, `(n, k)`, in the number format of the model.
pub(crate) enum Weights {
    F32(PackedF32),
    Int8(Box<dyn Product>),
}

/// The cost of multiplying one row with the weights of a layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowCost {
    /// Number of multiplications for one row.
    pub(crate) multiplications: u64,
    /// Number of bytes of weights that are read. It does not depend on the number of rows.
    pub(crate) weight_bytes: u64,
}

impl Linear {
    /// Returns the same layer with a GELU activation.
    pub(crate) fn with_gelu(self) -> Self {
        Self { activation: Activation::Gelu, ..self }
    }

    /// Number of output channels.
    pub(crate) fn n(&self) -> usize {
        self.shape().0
    }

    /// The shape of the weights, `(n, k)`: output channels and input channels.
    pub(crate) fn shape(&self) -> (usize, usize) {
        match &self.weights {
            Weights::F32(weights) => (weights.n(), weights.k()),
            Weights::Int8(weights) => weights.shape(),
        }
    }

    pub(crate) fn row_cost(&self) -> RowCost {
        let (n, k) = self.shape();
        let element = if matches!(self.weights, Weights::F32(_)) { size_of::<f32>() } else { 1 };
        RowCost { multiplications: (n * k) as u64, weight_bytes: (n * k * element) as u64 }
    }

    /// Computes the layer and writes the result to `out`, `(rows, n)`.
    pub(crate) fn write(&self, context: &Context, input: &Activations, out: &mut [f32]) {
        self.run(context, input, Output::Write(out));
    }

    /// Computes the layer and adds the result to `out`, `(rows, n)`.
    pub(crate) fn add(&self, context: &Context, input: &Activations, out: &mut [f32]) {
        self.run(context, input, Output::Add(out));
    }

    /// Computes the layer and writes the result to `next`, the input of the next layer. The result is quantised if
    /// the next layer computes in int8.
    pub(crate) fn feed(&self, context: &Context, input: &Activations, next: &mut Activations) {
        match next {
            Activations::Int8(rows) => self.run(context, input, Output::Quantise(rows)),
            Activations::F32 { values, k } => {
                *k = self.n();
                values.resize(input.rows() * self.n(), 0.0);
                self.run(context, input, Output::Write(values));
            }
        }
    }

    /// Computes the layer for all rows of `input`. `output` states where and how the result is stored.
    pub(crate) fn run(&self, context: &Context, input: &Activations, output: Output<'_>) {
        let epilogue = Epilogue { bias: self.bias.as_deref(), activation: self.activation };
        match (&self.weights, input) {
            (Weights::F32(weights), Activations::F32 { values, k }) => {
                gemm_f32(context, RowsF32::new(values, *k), weights, &epilogue, output);
            }
            (Weights::Int8(weights), Activations::Int8(rows)) => weights.gemm(context, rows, &epilogue, output),
            // Cannot happen: an engine creates its layers and its activations with the same `ComputeType`.
            _ => unreachable!("weights and activations of one engine differ in their number format"),
        }
    }
}
