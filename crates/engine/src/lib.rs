//! Whisper (Radford et al., arXiv 2212.04356): converts log-mel windows to tokens and timestamps.
//!
//! An [`Engine`] is a loaded model. [`Engine::encode`] runs the encoder on a window and [`Engine::decode`] decodes
//! it. A [`Batch`] decodes many windows at once. [`Engine::detect_language`] computes the probabilities of the
//! languages, and [`Engine::align`] finds the time at which each token is spoken. All facts about a model, such as
//! its dimensions, token ids and suppress lists, are read from the model's files.
//!
//! [`SileroVad`] computes the probability of speech for every 32 ms of audio.
//!
//! This crate does not read audio files, does not use HTTP and does not use a clock. [`amanuensis_weights`] reads the
//! weight files and [`amanuensis_kernels`] does the arithmetic. Int8 matrix products go through the [`backend`]
//! interface.

#![forbid(unsafe_code)]

pub mod backend;
pub mod units;

mod align;
mod buffer_pool;
mod decode;
mod engine;
mod error;
mod model;
mod network;
mod options;
mod silero_vad;
mod tokenizer;

pub use align::Alignment;
pub use decode::{
    Batch, DecodeOptions, DecodingResult, LogitsFilterOptions, Search, StepwiseDecoder, Task, TokenLogprob,
};
pub use engine::Engine;
pub use error::Error;
pub use network::{EncoderOutput, Sequence, Step, StepBuffers};
pub use options::{ComputeType, Device, DeviceOptions, EngineOptions, Runtime};
pub use silero_vad::{SileroVad, VadStream};
pub use tokenizer::{LANGUAGE_CODES, Vocabulary};
pub use units::{Chunks, Frames, Samples};
