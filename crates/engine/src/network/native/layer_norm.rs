//! The parameters of a layer norm.

/// Weight and bias of a layer norm, each `(d_model)`.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}
