//! Texts being decoded, and the steps that take them further.

use std::fmt;

use amanuensis_kernels::attention::{Cache, KeyValues};

use crate::ComputeType;
use crate::activations::Activations;
use crate::onnx;
use crate::spares::Lent;
use crate::window::EncoderOutput;

/// A text being decoded: what the decoder remembers of its tokens, and the window it listens to.
#[derive(Debug)]
pub struct Sequence {
    pub(crate) window: EncoderOutput,
    pub(crate) memory: Memory,
    pub(crate) length: usize,
}

/// Keys and values of the tokens so far.
#[derive(Debug)]
pub(crate) enum Memory {
    /// A layer each.
    Native(Lent<Vec<Cache>>),
    Onnx(onnx::Past),
}

impl Sequence {
    /// An empty text.
    pub(crate) fn new(window: &EncoderOutput, memory: Memory) -> Self {
        Self { window: window.clone(), memory, length: 0 }
    }

    /// Tokens decoded so far, prompt included.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing was decoded yet.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What the decoder remembers, by name and shape: the keys and values of the text, which grow by a position a token,
    /// and those of the window, which do not.
    pub fn cache_shapes(&self) -> Vec<(String, Vec<usize>)> {
        match &self.memory {
            Memory::Native(caches) => {
                let of_layer = |(layer, (cache, window)): (usize, (&Cache, &KeyValues))| {
                    let own = vec![self.length, cache.width()];
                    let cross = window.shape().to_vec();
                    [
                        ("decoder.key", own.clone()),
                        ("decoder.value", own),
                        ("encoder.key", cross.clone()),
                        ("encoder.value", cross),
                    ]
                    .map(|(name, shape)| (format!("{layer}.{name}"), shape))
                };
                caches.iter().zip(self.window.cross()).enumerate().flat_map(of_layer).collect()
            }
            Memory::Onnx(past) => past.shapes(self.window.of_onnx()),
        }
    }

    /// Becomes a copy of `other`, a text of the same window whose first `common` tokens are those of this one.
    pub(crate) fn become_like(&mut self, other: &Self, common: usize) {
        match (&mut self.memory, &other.memory) {
            (Memory::Native(caches), Memory::Native(others)) => {
                for (cache, other_cache) in caches.iter_mut().zip(others.iter()) {
                    cache.copy_from(other_cache, common..other.length);
                }
            }
            (Memory::Onnx(past), Memory::Onnx(other)) => past.clone_from(other),
            _ => panic!("a sequence of another engine"),
        }
        self.length = other.length;
    }

    /// Keys and values in a layer of our own decoder.
    ///
    /// # Panics
    /// If an ONNX runtime decodes the text; so does [`Self::cache_mut`].
    pub(crate) fn cache(&self, layer: usize) -> &Cache {
        match &self.memory {
            Memory::Native(caches) => &caches[layer],
            Memory::Onnx(_) => panic!("a sequence of another engine"),
        }
    }

    pub(crate) fn cache_mut(&mut self, layer: usize) -> &mut Cache {
        match &mut self.memory {
            Memory::Native(caches) => &mut caches[layer],
            Memory::Onnx(_) => panic!("a sequence of another engine"),
        }
    }
}

/// The part of a step that belongs to one sequence.
#[derive(Debug)]
pub struct Step<'s> {
    /// What the tokens are appended to.
    pub sequence: &'s mut Sequence,
    /// At least one.
    pub tokens: &'s [u32],
}

/// Memory that is kept from step to step.
pub struct StepBuffers {
    /// `(rows, d_model)`.
    pub(crate) states: Vec<f32>,
    pub(crate) input: Activations,
    pub(crate) hidden: Activations,
    /// `(rows, 3 * d_model)`.
    pub(crate) qkv: Vec<f32>,
    /// `(rows, d_model)`.
    pub(crate) attended: Vec<f32>,
    /// `(batch, n_vocab)`.
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

    /// The logits after the last token of each sequence of the last step, `(batch, n_vocab)`.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }
}

impl fmt::Debug for StepBuffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepBuffers").finish_non_exhaustive()
    }
}
