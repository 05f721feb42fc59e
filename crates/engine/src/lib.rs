//! Whisper (Radford et al., arXiv 2212.04356): log-mel windows in, tokens and times out.
//!
//! An [`Engine`] is a loaded model. [`Engine::encode`] runs the encoder on a window, [`Engine::decode`] reads its text,
//! and a [`Batch`] that of many windows at once; [`Engine::detect_language`] only asks in which language it is, and
//! [`Engine::align`] when each token of a text is spoken. Every fact
//! about a model - sizes, token ids, suppress lists - comes from the model's files.
//!
//! What is not here: audio files, HTTP, a clock. What is below: [`amanuensis_kernels`] does the arithmetic behind the
//! [`backend`] seam, [`amanuensis_weights`] reads the files.

#![forbid(unsafe_code)]
// In a build without the ONNX runtime nothing makes its values.
#![cfg_attr(not(feature = "onnx"), allow(dead_code))]

pub mod backend;

mod activations;
mod align;
mod config;
mod decode;
mod decoder;
mod dtw;
mod encode;
mod encoder;
mod engine;
mod error;
mod implied;
mod linear;
mod loader;
mod native;
mod network;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(not(feature = "onnx"))]
#[path = "onnx/absent.rs"]
mod onnx;
mod sequence;
mod spares;
pub mod units;
mod vocabulary;
mod voice;
mod window;

pub use align::Alignment;
pub use backend::{Device, DeviceOptions};
pub use decode::{
    Batch, DecodeOptions, DecodingResult, LogitsFilterOptions, Search, StepwiseDecoder, Task, TokenLogprob,
};
pub use engine::{ComputeType, Engine, EngineOptions};
pub use error::Error;
pub use implied::LANGUAGES as LANGUAGE_CODES;
pub use network::Runtime;
pub use sequence::{Sequence, Step, StepBuffers};
pub use units::{Chunks, Frames, Samples};
pub use vocabulary::Vocabulary;
pub use voice::{SileroVad, VadStream};
pub use window::EncoderOutput;
