//! Runs the graphs of an ONNX export unchanged with `rten`. The exports are those that Hugging Face's `optimum`
//! writes.
//!
//! Inputs and outputs are identified by name, never by position, because the two decoder graphs return their caches
//! in different orders. The decoder returns the self-attention keys and values of the whole sequence, with old and
//! new tokens already concatenated. The next step takes them as input unchanged. The cross-attention keys and values
//! of a window are computed by the first pass over it and are reused after that.
//!
//! Sequences are decoded one after the other. After its first pass, a sequence is extended by one token at a time,
//! because the graphs were traced with a single token after the cached ones and have no causal mask for more.

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
