//! Builds layers from the named tensors of a checkpoint, which is an open weight file.

use amanuensis_kernels::Context;
use amanuensis_kernels::gemm::{Activation, PackedF32};
use amanuensis_weights::{Checkpoint, Tensor};

use crate::backend::{Backend, Matrix, Rows};
use crate::error::Error;
use crate::network::native::{LayerNorm, Linear, Weights};
use crate::options::ComputeType;

/// Reads layers from a checkpoint (an open weight file) and packs their weights for a backend. After a tensor is
/// packed, the loader releases its memory pages in the file, so that the weights are not in memory twice.
pub(crate) struct Loader<'a> {
    pub(crate) checkpoint: &'a Checkpoint,
    pub(crate) context: &'a Context,
    pub(crate) compute_type: ComputeType,
    pub(crate) backend: &'a dyn Backend,
}

impl Loader<'_> {
    /// Number of layers of `network`, which is `encoder` or `decoder`. It is computed from the highest layer index in
    /// the checkpoint. So a layer that is missing in the middle is counted too, and an error occurs when it is
    /// loaded.
    pub(crate) fn count_layers(&self, network: &str) -> usize {
        let prefix = format!("{network}.layers.");
        let index = |name: &str| name.strip_prefix(&prefix)?.split('.').next()?.parse::<usize>().ok();
        self.checkpoint.names().filter_map(index).max().map_or(0, |last| last.saturating_add(1))
    }

    /// Reads all values of a tensor, which must have the given shape.
    pub(crate) fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let tensor = self.checkpoint.tensor(name)?.with_shape(shape)?;
        let values = tensor.to_f32();
        tensor.release();
        Ok(values)
    }

    /// Loads the layer norm from `{name}.weight` and `{name}.bias`, each `(d_model)`.
    pub(crate) fn norm(&self, name: &str, d_model: usize) -> Result<LayerNorm, Error> {
        Ok(LayerNorm {
            weight: self.values(&format!("{name}.weight"), &[d_model])?,
            bias: self.values(&format!("{name}.bias"), &[d_model])?,
        })
    }

    /// Loads a layer norm and the linear layer that follows it (see [`Self::linear`]). For int8, part of the range of
    /// the activations is moved into the weights (see [`balance`]).
    pub(crate) fn norm_linear(
        &self,
        norm: &str,
        prefix: &str,
        names: &[&str],
        shape: (usize, usize),
    ) -> Result<(LayerNorm, Linear), Error> {
        let mut norm = self.norm(norm, shape.1)?;
        let tensors = self.tensors(prefix, names, shape)?;
        // Weights that the file stores in int8 are used unchanged, so they cannot be balanced.
        let to_quantise = tensors.iter().all(|tensor| !tensor.is_int8());
        let factors = (self.compute_type == ComputeType::Int8 && to_quantise).then(|| balance(&mut norm, &tensors));
        Ok((norm, self.stack(prefix, names, &tensors, factors.as_deref())?))
    }

    /// Loads one layer from the weights `{prefix}.{name}.weight` for all `names`, each of shape `(n, k)`. The output
    /// channels of all these weights are concatenated in the order of `names`. A missing `{prefix}.{name}.bias`
    /// counts as zeros.
    pub(crate) fn linear(&self, prefix: &str, names: &[&str], shape: (usize, usize)) -> Result<Linear, Error> {
        self.stack(prefix, names, &self.tensors(prefix, names, shape)?, None)
    }

    /// Finds the tensors `{prefix}.{name}.weight` for all `names`, each of shape `(n, k)`.
    fn tensors(&self, prefix: &str, names: &[&str], (n, k): (usize, usize)) -> Result<Vec<Tensor<'_>>, Error> {
        let tensor =
            |name: &&str| Ok(self.checkpoint.tensor(&format!("{prefix}.{name}.weight"))?.with_shape(&[n, k])?);
        names.iter().map(tensor).collect()
    }

    /// Builds the layer that [`Self::linear`] loads: it has the output channels of all `tensors`, in this order.
    /// Column `j` of the weights is multiplied by `factors[j]`.
    fn stack(
        &self,
        prefix: &str,
        names: &[&str],
        tensors: &[Tensor<'_>],
        factors: Option<&[f32]>,
    ) -> Result<Linear, Error> {
        let (n, k) = (tensors[0].rows(), tensors[0].row_len());
        let weights = self.weights(tensors, (n * names.len(), k), factors);
        let mut bias = Vec::new();
        let mut has_bias = false;
        for name in names {
            let bias_name = format!("{prefix}.{name}.bias");
            if self.checkpoint.get(&bias_name).is_some() {
                has_bias = true;
                bias.extend(self.values(&bias_name, &[n])?);
            } else {
                bias.extend(std::iter::repeat_n(0.0, n));
            }
        }
        Ok(Linear { weights, bias: has_bias.then_some(bias), activation: Activation::None })
    }

    /// Loads a layer without bias from the tensor `name`, which has the shape `(n, k)`.
    pub(crate) fn matrix(&self, name: &str, (n, k): (usize, usize)) -> Result<Linear, Error> {
        let tensor = self.checkpoint.tensor(name)?.with_shape(&[n, k])?;
        Ok(Linear { weights: self.weights(&[tensor], (n, k), None), bias: None, activation: Activation::None })
    }

    /// Loads a convolution of shape `(n, inputs, kernel)` as a linear layer of shape `(n, kernel * inputs)` with a
    /// GELU activation. The input of this layer is `kernel` adjacent frames.
    pub(crate) fn convolution(&self, name: &str, (n, inputs, kernel): (usize, usize, usize)) -> Result<Linear, Error> {
        let values = self.values(&format!("{name}.weight"), &[n, inputs, kernel])?;
        let k = kernel * inputs;
        let write = |channel: usize, out: &mut [f32]| {
            let weights = &values[channel * k..][..k];
            for (index, out) in out.iter_mut().enumerate() {
                *out = weights[index % inputs * kernel + index / inputs];
            }
        };
        let weights = self.pack(&Matrix { n, k, rows: Rows::F32(&write) });
        let bias = Some(self.values(&format!("{name}.bias"), &[n])?);
        Ok(Linear { weights, bias, activation: Activation::Gelu })
    }

    /// Concatenates the rows of tensors of equal shape and packs them. Column `j` is multiplied by `factors[j]`,
    /// unless the tensors are int8.
    fn weights(&self, tensors: &[Tensor<'_>], (n, k): (usize, usize), factors: Option<&[f32]>) -> Weights {
        let rows = n / tensors.len();
        let is_int8 = tensors.iter().all(Tensor::is_int8);
        let weights = if is_int8 && self.compute_type == ComputeType::Int8 {
            let write = |channel: usize, out: &mut [i8]| tensors[channel / rows].int8_row(channel % rows, out);
            self.pack(&Matrix { n, k, rows: Rows::Int8(&write) })
        } else {
            let write = |channel: usize, out: &mut [f32]| {
                let row = channel % rows;
                tensors[channel / rows].rows_f32(row..row + 1, out);
                for (weight, factor) in out.iter_mut().zip(factors.unwrap_or_default()) {
                    *weight *= factor;
                }
            };
            self.pack(&Matrix { n, k, rows: Rows::F32(&write) })
        };
        tensors.iter().for_each(Tensor::release);
        weights
    }

    fn pack(&self, matrix: &Matrix<'_>) -> Weights {
        match (self.compute_type, &matrix.rows) {
            (ComputeType::F32, Rows::F32(write)) => {
                Weights::F32(PackedF32::pack(&self.context.pool, matrix.n, matrix.k, write))
            }
            _ => Weights::Int8(self.backend.prepare(self.context, matrix)),
        }
    }
}

/// The migration strength of [`balance`], from 0 to 1. At 1 only the ranges of the activation channels are evened
/// out, at 0 only those of the weights.
const BALANCE: f32 = 0.75;

/// Moves part of the range of the activations into the weights, so that int8 quantisation loses less precision. It
/// uses one scale per row of activations and one per output channel. Channel `j` of the norm is divided by factor
/// `j`. The caller must multiply column `j` of the weights by the same factor; the product then does not change.
///
/// This is `SmoothQuant` (Xiao et al., arXiv 2211.10438). It uses no calibration data: the range of a channel is
/// assumed to be three standard deviations of the norm's output.
fn balance(norm: &mut LayerNorm, tensors: &[Tensor<'_>]) -> Vec<f32> {
    let max_weights = max_magnitudes_of_columns(tensors, norm.weight.len());
    let mut factors = Vec::with_capacity(max_weights.len());
    for ((weight, bias), max_weight) in norm.weight.iter_mut().zip(&mut norm.bias).zip(max_weights) {
        let range = 3.0 * weight.abs() + bias.abs();
        let factor =
            if range > 0.0 && max_weight > 0.0 { range.powf(BALANCE) / max_weight.powf(1.0 - BALANCE) } else { 1.0 };
        *weight /= factor;
        *bias /= factor;
        factors.push(factor);
    }
    factors
}

/// The largest magnitude in each of the `k` columns, over the rows of all tensors.
fn max_magnitudes_of_columns(tensors: &[Tensor<'_>], k: usize) -> Vec<f32> {
    let (mut maxima, mut row) = (vec![0.0_f32; k], vec![0.0; k]);
    for tensor in tensors {
        for index in 0..tensor.rows() {
            tensor.rows_f32(index..index + 1, &mut row);
            maxima.iter_mut().zip(&row).for_each(|(max, weight)| *max = max.max(weight.abs()));
        }
    }
    maxima
}
