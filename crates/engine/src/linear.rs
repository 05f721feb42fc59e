//! Layers: weights ready to be multiplied with, and what is added afterwards.

use amanuensis_kernels::Context;
use amanuensis_kernels::gemm::{Activation, Epilogue, Output, PackedF32, RowsF32, gemm_f32};

use crate::activations::Activations;
use crate::backend::Product;

/// The weights of a layer norm, each `(d_model)`.
#[derive(Debug)]
pub(crate) struct Norm {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

/// A linear layer `x W^T + b`, or a convolution seen as one.
pub(crate) struct Linear {
    pub(crate) weights: Weights,
    /// `(n)`.
    pub(crate) bias: Option<Vec<f32>>,
    pub(crate) activation: Activation,
}

/// Weights `(n, k)` in the number format of the model.
pub(crate) enum Weights {
    F32(PackedF32),
    Int8(Box<dyn Product>),
}

impl Linear {
    /// The same layer with a GELU behind it.
    pub(crate) fn with_gelu(self) -> Self {
        Self { activation: Activation::Gelu, ..self }
    }

    /// Output channels.
    pub(crate) fn n(&self) -> usize {
        self.shape().0
    }

    /// `(n, k)`: output channels and depth.
    pub(crate) fn shape(&self) -> (usize, usize) {
        match &self.weights {
            Weights::F32(weights) => (weights.n(), weights.k()),
            Weights::Int8(weights) => weights.shape(),
        }
    }

    /// Products of a row with these weights, and bytes of weights read for them.
    pub(crate) fn work(&self) -> (u64, u64) {
        let (n, k) = self.shape();
        let element = if matches!(self.weights, Weights::F32(_)) { size_of::<f32>() } else { 1 };
        ((n * k) as u64, (n * k * element) as u64)
    }

    /// Overwrites `out`, `(rows, n)`.
    pub(crate) fn write(&self, context: &Context, input: &Activations, out: &mut [f32]) {
        self.run(context, input, Output::Write(out));
    }

    /// Adds to `out`, `(rows, n)`.
    pub(crate) fn add(&self, context: &Context, input: &Activations, out: &mut [f32]) {
        self.run(context, input, Output::Add(out));
    }

    /// The result becomes the input of the next layer.
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

    /// The result goes where `output` says.
    pub(crate) fn run(&self, context: &Context, input: &Activations, output: Output<'_>) {
        let epilogue = Epilogue { bias: self.bias.as_deref(), activation: self.activation };
        match (&self.weights, input) {
            (Weights::F32(weights), Activations::F32 { values, k }) => {
                gemm_f32(context, RowsF32::new(values, *k), weights, &epilogue, output);
            }
            (Weights::Int8(weights), Activations::Int8(rows)) => weights.gemm(context, rows, &epilogue, output),
            // An engine makes its layers and its activations from one `ComputeType`.
            _ => unreachable!("weights and activations of one engine differ in type"),
        }
    }
}
