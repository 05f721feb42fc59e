//! A token sequence that the decoder extends.

use amanuensis_kernels::attention::{Cache, KeyValues};

use super::encoder_output::EncoderOutput;
use super::kv_cache::KvCache;

/// A token sequence of one window, with its KV cache.
#[derive(Debug)]
pub struct Sequence {
    /// The window that the sequence attends to.
    pub(crate) window: EncoderOutput,
    pub(crate) cache: KvCache,
    /// Number of tokens in the KV cache, including those of the prompt.
    pub(crate) length: usize,
}

impl Sequence {
    /// Creates a sequence without tokens.
    pub(crate) fn new(window: &EncoderOutput, cache: KvCache) -> Self {
        Self { window: window.clone(), cache, length: 0 }
    }

    /// Number of tokens that the decoder has processed, including the prompt.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether the decoder has not processed any tokens yet.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Names and shapes of the cached attention keys and values. Names with `decoder` are for self-attention, whose
    /// shapes grow by one position per token. Names with `encoder` are for cross-attention, whose shapes keep the
    /// size of the window.
    pub fn cache_shapes(&self) -> Vec<(String, Vec<usize>)> {
        match &self.cache {
            KvCache::Native(caches) => {
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
            KvCache::Onnx(cache) => cache.shapes(self.window.onnx_window()),
        }
    }

    /// Makes this sequence equal to `other`, a sequence of the same window. The first `common_len` tokens of both
    /// must be the same.
    pub(crate) fn copy_from(&mut self, other: &Self, common_len: usize) {
        self.cache.copy_from(&other.cache, common_len, other.length);
        self.length = other.length;
    }
}
