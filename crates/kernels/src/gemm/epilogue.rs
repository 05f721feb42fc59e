//! What happens to a block of sums before it leaves the core's cache.

use super::QuantisedRows;
use crate::Cpu;
use crate::cpu::multiversion;
use crate::vector::gelu;

/// The function applied after the bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// The exact GELU, `x * (1 + erf(x / sqrt 2)) / 2`.
    Gelu,
}

/// Bias and activation of a layer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// `(n)`, added to each row.
    pub bias: Option<&'a [f32]>,
    /// Applied after the bias.
    pub activation: Activation,
}

impl Epilogue<'_> {
    /// Bias and activation, in place, on columns `first..` of one row.
    pub(super) fn finish(&self, cpu: Cpu, first: usize, row: &mut [f32]) {
        if let Some(bias) = self.bias {
            add(cpu, &bias[first..first + row.len()], row);
        }
        if self.activation == Activation::Gelu {
            gelu(cpu, row);
        }
    }
}

/// Where the result goes.
#[derive(Debug)]
pub enum Output<'a> {
    /// `(m, n)`, overwritten.
    Write(&'a mut [f32]),
    /// `(m, n)`, added to: the residual connection.
    Add(&'a mut [f32]),
    /// Becomes an `(m, n)` matrix for the next int8 product.
    Quantise(&'a mut QuantisedRows),
}

multiversion! {
    /// Sums to values: `out[i] = sums[i] * row_scale * scales[i]`.
    pub(super) fn dequantise(sums: &[i32], row_scale: f32, scales: &[f32], out: &mut [f32]) {
        for ((out, sum), scale) in out.iter_mut().zip(sums).zip(scales) {
            *out = *sum as f32 * row_scale * *scale;
        }
    }
}

multiversion! {
    /// `out[i] += values[i]`.
    pub(super) fn add(values: &[f32], out: &mut [f32]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out += *value;
        }
    }
}
