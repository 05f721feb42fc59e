//! From named tensors to layers.

use amanuensis_kernels::Context;
use amanuensis_kernels::gemm::{Activation, PackedF32};
use amanuensis_weights::{Checkpoint, Int8Rows, Tensor};

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

    /// One layer made of `{prefix}.{name}.weight` for each name, stacked; each is `(n, k)`.
    pub(crate) fn linear(&self, prefix: &str, names: &[&str], (n, k): (usize, usize)) -> Result<Linear, Error> {
        let tensor =
            |name: &&str| Ok(self.checkpoint.tensor(&format!("{prefix}.{name}.weight"))?.with_shape(&[n, k])?);
        let tensors: Vec<Tensor<'_>> = names.iter().map(tensor).collect::<Result<_, Error>>()?;
        let weights = self.weights(&tensors, (n * names.len(), k));
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

    /// A layer with a GELU behind it.
    pub(crate) fn linear_gelu(&self, prefix: &str, name: &str, shape: (usize, usize)) -> Result<Linear, Error> {
        Ok(Linear { activation: Activation::Gelu, ..self.linear(prefix, &[name], shape)? })
    }

    /// A matrix by its full name, without bias.
    pub(crate) fn matrix(&self, name: &str, (n, k): (usize, usize)) -> Result<Linear, Error> {
        let tensor = self.checkpoint.tensor(name)?.with_shape(&[n, k])?;
        Ok(Linear { weights: self.weights(&[tensor], (n, k)), bias: None, activation: Activation::None })
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

    /// Tensors of equal shape, stacked by rows.
    fn weights(&self, tensors: &[Tensor<'_>], (n, k): (usize, usize)) -> Weights {
        let rows = n / tensors.len();
        let int8: Option<Vec<Int8Rows<'_>>> = tensors.iter().map(Tensor::int8_rows).collect();
        let weights = match int8 {
            Some(int8) if self.compute_type == ComputeType::Int8 => {
                let write = |channel: usize, out: &mut [i8]| {
                    let (part, row) = (&int8[channel / rows], channel % rows);
                    out.copy_from_slice(&part.values[row * k..][..k]);
                    part.scales[row]
                };
                self.pack(&Matrix { n, k, rows: Rows::Int8(&write) })
            }
            _ => {
                let write = |channel: usize, out: &mut [f32]| {
                    let row = channel % rows;
                    tensors[channel / rows].rows_f32(row..row + 1, out);
                };
                self.pack(&Matrix { n, k, rows: Rows::F32(&write) })
            }
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
