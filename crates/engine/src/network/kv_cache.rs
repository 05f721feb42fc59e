//! The KV cache: the self-attention keys and values of a sequence.

use amanuensis_kernels::attention::Cache;

use super::onnx::OnnxCache;
use crate::buffer_pool::Pooled;

/// The keys and values of a sequence's tokens, in the form of the runtime that computed them.
#[derive(Debug)]
pub(crate) enum KvCache {
    /// The keys and values of the native decoder, one element per layer.
    Native(Pooled<Vec<Cache>>),
    #[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "a build without the ONNX runtime has no such values"))]
    Onnx(OnnxCache),
}

impl KvCache {
    /// Makes this cache equal to `other`, which contains `other_len` tokens. The first `common_len` tokens of both
    /// must be the same; the native cache does not copy these.
    ///
    /// # Panics
    /// If the caches belong to different runtimes.
    pub(crate) fn copy_from(&mut self, other: &Self, common_len: usize, other_len: usize) {
        match (self, other) {
            (Self::Native(caches), Self::Native(others)) => {
                for (cache, other_cache) in caches.iter_mut().zip(others.iter()) {
                    cache.copy_from(other_cache, common_len..other_len);
                }
            }
            (Self::Onnx(cache), Self::Onnx(other)) => cache.clone_from(other),
            _ => panic!("a KV cache of another runtime"),
        }
    }

    /// The keys and values of one layer of the native decoder.
    ///
    /// # Panics
    /// If the cache belongs to the ONNX runtime.
    pub(crate) fn layer(&self, layer: usize) -> &Cache {
        match self {
            Self::Native(caches) => &caches[layer],
            Self::Onnx(_) => panic!("a KV cache of another runtime"),
        }
    }

    /// The keys and values of one layer of the native decoder, for modification.
    ///
    /// # Panics
    /// If the cache belongs to the ONNX runtime.
    pub(crate) fn layer_mut(&mut self, layer: usize) -> &mut Cache {
        match self {
            Self::Native(caches) => &mut caches[layer],
            Self::Onnx(_) => panic!("a KV cache of another runtime"),
        }
    }
}
