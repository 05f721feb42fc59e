//! Reads the weights of Whisper models: file bytes in, named tensors out.
//!
//! A [`Checkpoint`] is a memory-mapped model file, or a set of files. Every format gives the same canonical tensor
//! names. They are those of Hugging Face's `WhisperForConditionalGeneration`, without the leading `model.`:
//!
//! | name | shape |
//! |---|---|
//! | `encoder.conv1.weight`, `encoder.conv2.weight` | (out channels, in channels, kernel) |
//! | `encoder.embed_positions.weight` | (`n_audio_ctx`, `d_model`) |
//! | `encoder.layers.{i}.self_attn.{q_proj,k_proj,v_proj,out_proj}.weight` | (out, in) |
//! | `encoder.layers.{i}.{fc1,fc2}.weight` | (out, in) |
//! | `encoder.layers.{i}.{self_attn_layer_norm,final_layer_norm}.weight` | (`d_model`) |
//! | `encoder.layer_norm.weight` | (`d_model`) |
//! | `decoder.embed_tokens.weight` | (`n_vocab`, `d_model`) |
//! | `decoder.embed_positions.weight` | (`n_text_ctx`, `d_model`) |
//! | `decoder.layers.{i}.*` | as in the encoder; also `encoder_attn.*` and `encoder_attn_layer_norm` |
//! | `decoder.layer_norm.weight` | (`d_model`) |
//! | `proj_out.weight` | (`n_vocab`, `d_model`); absent if it is the same as `decoder.embed_tokens.weight` |
//!
//! Each `.weight` has a `.bias`, except those of embeddings, positions and `proj_out`. `k_proj.bias` is optional:
//! Whisper has none, but some formats store zeros for it.
//!
//! Tensors are views of the mapped bytes. Values are copied only when they are converted to `f32`, all at once or by
//! ranges of rows. Files are treated as untrusted input: whatever bytes they hold, the result is tensors or an
//! [`Error`], never a panic.
//!
//! ```no_run
//! # fn main() -> Result<(), amanuensis_weights::Error> {
//! let checkpoint = amanuensis_weights::Checkpoint::open("models/base".as_ref())?;
//! let embedding = checkpoint.tensor("decoder.embed_tokens.weight")?;
//! let (n_vocab, d_model) = (embedding.rows(), embedding.row_len());
//! let scale = checkpoint.tensor("encoder.layer_norm.weight")?.with_shape(&[d_model])?.to_f32();
//! # Ok(())
//! # }
//! ```

#![deny(unsafe_code)]

mod blocks;
mod checkpoint;
mod ctranslate2;
mod dtype;
mod error;
#[cfg(feature = "fixture")]
pub mod fixture;
mod format;
mod formats;
mod ggml;
mod interface;
mod mmap;
mod onnx;
mod reader;
mod safetensors;
mod sharded;
mod tensor;

pub use checkpoint::Checkpoint;
pub use dtype::DType;
pub use error::Error;
pub use interface::{Dimension, GraphValue, Interface};
pub use tensor::Tensor;
