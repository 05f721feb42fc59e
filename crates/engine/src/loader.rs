//! From named tensors to layers.

use amanuensis_kernels::Context;
use amanuensis_kernels::gemm::{Activation, PackedF32};
use amanuensis_weights::{Checkpoint, Tensor};

use crate::backend::{Backend, Matrix, Rows};
use crate::linear::{Linear, Norm, Weights};
use crate::{ComputeType, Error};

/// Reads layers from a checkpoint and prepares them for a backend. Pages of the file are given back once packed.
pub(crate) struct Loader<'a> {
    pub(crate) checkpoint: &'a Checkpoint,
    pub(crate) context: &'a Context,
    pub(crate) compute_type: ComputeType,
    pub(crate) backend: &'a dyn Backend,
}

impl Loader<'_> {
    /// All values of a tensor of a given shape.
    pub(crate) fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let tensor = self.checkpoint.tensor(name)?.with_shape(shape)?;
        let values = tensor.to_f32();
        tensor.release();
        Ok(values)
    }

    /// `{name}.weight` and `{name}.bias`, each `(d_model)`.
    pub(crate) fn norm(&self, name: &str, d_model: usize) -> Result<Norm, Error> {
        Ok(Norm {
            weight: self.values(&format!("{name}.weight"), &[d_model])?,
            bias: self.values(&format!("{name}.bias"), &[d_model])?,
        })
    }

    /// A layer norm and the [`Self::linear`] layer behind it, balanced for int8 (see [`balance`]).
    pub(crate) fn norm_linear(
        &self,
        norm: &str,
        prefix: &str,
        names: &[&str],
        shape: (usize, usize),
    ) -> Result<(Norm, Linear), Error> {
        let mut norm = self.norm(norm, shape.1)?;
        let tensors = self.stack(prefix, names, shape)?;
        // Weights that are int8 in the file stay what they are.
        let to_quantise = tensors.iter().all(|tensor| !tensor.is_int8());
        let factors = (self.compute_type == ComputeType::Int8 && to_quantise).then(|| balance(&mut norm, &tensors));
        Ok((norm, self.stacked(prefix, names, &tensors, factors.as_deref())?))
    }

    fn stack(&self, prefix: &str, names: &[&str], (n, k): (usize, usize)) -> Result<Vec<Tensor<'_>>, Error> {
        let tensor =
            |name: &&str| Ok(self.checkpoint.tensor(&format!("{prefix}.{name}.weight"))?.with_shape(&[n, k])?);
        names.iter().map(tensor).collect()
    }

    /// One layer made of `{prefix}.{name}.weight` for each name, stacked; each is `(n, k)`.
    pub(crate) fn linear(&self, prefix: &str, names: &[&str], shape: (usize, usize)) -> Result<Linear, Error> {
        self.stacked(prefix, names, &self.stack(prefix, names, shape)?, None)
    }

    fn stacked(
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

    /// A matrix by its full name, without bias.
    pub(crate) fn matrix(&self, name: &str, (n, k): (usize, usize)) -> Result<Linear, Error> {
        let tensor = self.checkpoint.tensor(name)?.with_shape(&[n, k])?;
        Ok(Linear { weights: self.weights(&[tensor], (n, k), None), bias: None, activation: Activation::None })
    }

    /// A convolution `(n, in, kernel)` with GELU, as a layer over windows of `kernel` frames: `(n, kernel * in)`.
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

    /// Tensors of equal shape, stacked by rows, their columns multiplied by `factors`.
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

/// Of the spread between the channels, the share that the activations are relieved of; the weights get the rest.
const BALANCE: f32 = 0.75;

/// Evens out the channels between a layer norm and the layer behind it, so that one scale a row and one a column lose
/// less: channel `j` of the norm is divided by a factor that the returned list has for column `j` of the weights. The
/// product is the same (Xiao et al., `SmoothQuant`, arXiv 2211.10438). Instead of calibrating on recordings, a channel's
/// range is taken to be three standard deviations of what a norm gives.
fn balance(norm: &mut Norm, tensors: &[Tensor<'_>]) -> Vec<f32> {
    let largest_weights = largest_by_column(tensors, norm.weight.len());
    let mut factors = Vec::with_capacity(largest_weights.len());
    for ((weight, bias), largest) in norm.weight.iter_mut().zip(&mut norm.bias).zip(largest_weights) {
        let range = 3.0 * weight.abs() + bias.abs();
        let factor = if range > 0.0 && largest > 0.0 { range.powf(BALANCE) / largest.powf(1.0 - BALANCE) } else { 1.0 };
        *weight /= factor;
        *bias /= factor;
        factors.push(factor);
    }
    factors
}

fn largest_by_column(tensors: &[Tensor<'_>], k: usize) -> Vec<f32> {
    let (mut largest, mut row) = (vec![0.0_f32; k], vec![0.0; k]);
    for tensor in tensors {
        for index in 0..tensor.rows() {
            tensor.rows_f32(index..index + 1, &mut row);
            largest.iter_mut().zip(&row).for_each(|(largest, weight)| *largest = largest.max(weight.abs()));
        }
    }
    largest
}
