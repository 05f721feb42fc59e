//! The input and the buffers of a decoder step.

use std::fmt;

use super::native::Activations;
use super::sequence::Sequence;
use crate::options::ComputeType;

/// The part of a decoder step that belongs to one sequence.
#[derive(Debug)]
pub struct Step<'s> {
    /// The sequence to extend.
    pub sequence: &'s mut Sequence,
    /// The tokens to append. There must be at least one.
    pub tokens: &'s [u32],
}

/// Buffers that are reused from step to step.
pub struct StepBuffers {
    /// The residual stream, `(rows, d_model)`.
    pub(crate) states: Vec<f32>,
    pub(crate) input: Activations,
    pub(crate) hidden: Activations,
    /// Queries, keys and values, `(rows, 3 * d_model)`.
    pub(crate) qkv: Vec<f32>,
    /// The output of the attention layer, `(rows, d_model)`.
    pub(crate) attended: Vec<f32>,
    /// The logits, `(batch, n_vocab)`.
    pub(crate) logits: Vec<f32>,
}

impl StepBuffers {
    pub(crate) fn new(compute_type: ComputeType) -> Self {
        Self {
            states: Vec::new(),
            input: Activations::new(compute_type),
            hidden: Activations::new(compute_type),
            qkv: Vec::new(),
            attended: Vec::new(),
            logits: Vec::new(),
        }
    }

    /// The logits after the last token of each sequence in the last step, `(batch, n_vocab)`.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }
}

impl fmt::Debug for StepBuffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepBuffers").finish_non_exhaustive()
    }
}
