//! The input and the buffers of a decoder step.

use std::fmt;

use super::native::Activations;
use super::sequence::Sequence;
use crate::options::ComputeType;

/// What one sequence contributes to a decoder step.
#[derive(Debug)]
pub struct Step<'s> {
    /// The sequence to extend.
    pub sequence: &'s mut Sequence,
    /// The tokens to append. There must be at least one.
    pub tokens: &'s [u32],
}

/// Buffers of a decoder step. They are reused from step to step.
pub struct StepBuffers {
    /// The sum of the outputs of all layers so far (the residual stream), `(rows, d_model)`.
    pub(crate) states: Vec<f32>,
    pub(crate) input: Activations,
    pub(crate) hidden: Activations,
    /// Queries, keys and values, `(rows, 3 * d_model)`.
    pub(crate) qkv: Vec<f32>,
    /// The output of the attention layer, `(rows, d_model)`.
    pub(crate) attended: Vec<f32>,
    /// The logits after the final token of each sequence, `(batch, n_vocab)`.
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

    /// The logits that the most recent step computed, `(batch, n_vocab)`: for each sequence, those after its final
    /// token.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }
}

impl fmt::Debug for StepBuffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepBuffers").finish_non_exhaustive()
    }
}
