//! Layer normalisation (Ba, Kiros and Hinton, arXiv 1607.06450).

use crate::Context;
use crate::cpu::multiversion;
use crate::gemm::{QuantisedRows, RowsF32};
use crate::quantise::quantise_row;
use crate::scratch::scratch_of;
use crate::vector::{LANES, reduce};

/// Added to the variance to avoid a division by zero. The value is the default of `PyTorch`, which Whisper was trained
/// with.
const EPSILON: f32 = 1e-5;

/// Computes the layer norm of every row: `rows` and `out` are `(rows, k)`, `weight` and `bias` are `(k)`.
pub fn layer_norm(context: &Context, rows: RowsF32<'_>, weight: &[f32], bias: &[f32], out: &mut [f32]) {
    context.pool.chunks_mut(out, rows.k, &|row, out, _| {
        layer_norm_row(context.cpu, rows.row(row), weight, bias, out);
    });
}

impl QuantisedRows {
    /// Replaces this matrix by the layer norm of `source`, `(rows, k)`, each row quantised with a scale of its own.
    /// `weight` and `bias` are `(k)`.
    pub fn assign_layer_norm(&mut self, context: &Context, source: RowsF32<'_>, weight: &[f32], bias: &[f32]) {
        self.reset(source.rows, source.k);
        self.fill(&context.pool, &|row, quantised, scratch| {
            let normalised = scratch_of(&mut scratch.block, source.k);
            layer_norm_row(context.cpu, source.row(row), weight, bias, normalised);
            quantise_row(context.cpu, normalised, quantised)
        });
    }
}

multiversion! {
    /// Computes `out = (row - mean) / sqrt(variance + 1e-5) * weight + bias`. All slices are `(k)`.
    pub fn layer_norm_row(row: &[f32], weight: &[f32], bias: &[f32], out: &mut [f32]) {
        let count = row.len() as f32;
        let mean = sum_of(row, |value| value) / count;
        let variance = sum_of(row, |value| (value - mean) * (value - mean)) / count;
        let inverse = 1.0 / (variance + EPSILON).sqrt();
        for (((out, value), weight), bias) in out.iter_mut().zip(row).zip(weight).zip(bias) {
            *out = (*value - mean) * inverse * *weight + *bias;
        }
    }
}

/// Applies the function `of` to each value of a row and returns the sum of the results. It is accumulated in 16
/// partial sums, which are added at the end.
#[inline(always)]
#[allow(clippy::inline_always, reason = "must be compiled for the instruction set of each caller")]
fn sum_of(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut partial = [0.0_f32; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            partial[lane] += of(chunk[lane]);
        }
    }
    for (sum, value) in partial.iter_mut().zip(rest) {
        *sum += of(*value);
    }
    reduce(partial, |a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;

    #[test]
    fn layer_norm_follows_the_definition_with_the_same_bits_on_every_instruction_set() {
        let row: Vec<f32> = (0..531).map(|i| ((i * 7919) % 1009) as f32 * 0.01 - 3.0).collect();
        let weight: Vec<f32> = (0..531).map(|i| 0.5 + i as f32 * 0.001).collect();
        let bias: Vec<f32> = (0..531).map(|i| i as f32 * -0.002).collect();
        let exact: Vec<f64> = row.iter().map(|value| f64::from(*value)).collect();
        let mean = exact.iter().sum::<f64>() / 531.0;
        let variance = exact.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 531.0;
        let mut first = Vec::new();
        for cpu in Cpu::all() {
            let mut out = vec![0.0; row.len()];
            layer_norm_row(cpu, &row, &weight, &bias, &mut out);
            for i in 0..row.len() {
                let expected = (exact[i] - mean) / (variance + 1e-5).sqrt() * f64::from(weight[i]) + f64::from(bias[i]);
                assert!((f64::from(out[i]) - expected).abs() < 1e-5);
            }
            let bits: Vec<u32> = out.into_iter().map(f32::to_bits).collect();
            if first.is_empty() {
                first = bits;
            } else {
                assert_eq!(bits, first, "{}", cpu.isa());
            }
        }
    }
}
