//! The error type of this crate.

use std::path::PathBuf;

use crate::options::Device;

/// The reason why a model cannot be loaded or a window cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The weight file is missing or damaged, or is not that of a Whisper model.
    #[error(transparent)]
    Weights(#[from] amanuensis_weights::Error),
    /// `AMANUENSIS_ISA` names an instruction set that this machine or this build does not have.
    #[error(transparent)]
    Isa(#[from] amanuensis_kernels::IsaError),
    /// A file in the directory of the weights cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file in the directory of the weights is not valid JSON or does not have the expected structure.
    #[error("{} is damaged: {problem}; download the model again", path.display())]
    Malformed {
        /// The path of the file.
        path: PathBuf,
        /// A description of what is wrong with the file.
        problem: String,
    },
    /// There is no vocabulary in the model's directory.
    #[error("no vocabulary in {}: looked for {looked_for}", directory.display())]
    NoVocabulary {
        /// The model's directory.
        directory: PathBuf,
        /// The file names that were searched for.
        looked_for: &'static str,
    },
    /// The vocabulary lacks a special token that decoding needs.
    #[error("the vocabulary in {} has no token {token}: is this a Whisper model?", directory.display())]
    MissingToken {
        /// The model's directory.
        directory: PathBuf,
        /// The name of the missing token.
        token: &'static str,
    },
    /// Files of the model contradict each other.
    #[error("the model in {} is inconsistent: {problem}", directory.display())]
    Inconsistent {
        /// The model's directory.
        directory: PathBuf,
        /// A description of the contradiction.
        problem: String,
    },
    /// The model does not know the requested language.
    #[error("this model does not know the language `{0}`")]
    UnknownLanguage(String),
    /// A multilingual model was given no language.
    #[error("a multilingual model needs a language: name one, or detect it")]
    LanguageNeeded,
    /// An English-only model was given another language or the task to translate.
    #[error("this model knows English only: choose a multilingual one (a name without `.en`) for {0}")]
    EnglishOnly(String),
    /// The requested device cannot be used.
    #[error("the device `{device}` cannot be used: {reason}")]
    Device {
        /// The requested device.
        device: Device,
        /// The reason why the device cannot be used, with what the user can do about it.
        reason: String,
    },
    /// A mel window has the wrong size.
    #[error("a window of {found} mel values, but this model takes at most ({n_frames}, {n_mels})")]
    WindowShape {
        /// Number of mel values in the given window.
        found: usize,
        /// Number of mel frames in a full window.
        n_frames: usize,
        /// Number of mel bins that the model takes.
        n_mels: usize,
    },
    /// The ONNX runtime was requested in a build without it.
    #[error("this build has no ONNX runtime: it was built without the cargo feature `onnx`")]
    NoOnnx,
    /// No ONNX export was found at the given path.
    #[error(
        "no ONNX export at {}: looked for encoder_model{suffix}.onnx, and for decoder_model{suffix}.onnx with \
         decoder_with_past_model{suffix}.onnx or decoder_model_merged{suffix}.onnx, there and in its subdirectory onnx \
         (the kind of a decoder is recognised by its inputs, not by its name)",
        path.display()
    )]
    NoExport {
        /// The path that was searched.
        path: PathBuf,
        /// The suffix of the file names, such as `_quantized`. It selects a variant of the export.
        suffix: String,
    },
    /// A graph (file) of an ONNX export does not have the structure of a Whisper export, or the ONNX runtime cannot
    /// run it.
    #[error("{} cannot be used: {problem}", path.display())]
    Graph {
        /// The path of the file.
        path: PathBuf,
        /// A description of what is wrong with the file.
        problem: String,
    },
    /// Word timestamps were requested from an ONNX export, which does not return attention weights.
    #[error("word timestamps need cross-attention weights, which ONNX exports do not return")]
    NoAttention,
}
