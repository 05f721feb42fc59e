//! The graphs of an ONNX export, as written by Hugging Face's `optimum`, run unchanged by `rten`.
//!
//! Inputs and outputs are bound by name, never by position, because the two decoder graphs return their caches in different
//! orders. The decoder returns the self-attention keys and values of the whole sequence, old and new tokens already
//! concatenated, and takes them back unchanged in the next step. The cross-attention keys and values of a window come from
//! the first pass over it and are reused after that.
//!
//! Sequences are decoded one after the other. After its first pass, a sequence is extended by one token at a time, because
//! the graphs were traced with a single token after the cached ones and have no causal mask for more.

#[cfg(feature = "onnx")]
mod decoder;
#[cfg(feature = "onnx")]
mod files;
#[cfg(feature = "onnx")]
mod graph;
#[cfg(feature = "onnx")]
mod runtime;
#[cfg(feature = "onnx")]
mod tensors;

#[cfg(not(feature = "onnx"))]
#[path = "absent/runtime.rs"]
mod runtime;
#[cfg(not(feature = "onnx"))]
#[path = "absent/tensors.rs"]
mod tensors;

pub(crate) use self::runtime::OnnxModel;
pub(crate) use self::tensors::{OnnxCache, OnnxWindow};
