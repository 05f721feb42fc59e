//! What can be wrong with a model or a request.

use std::path::PathBuf;

/// Why a model cannot be loaded or a window not be decoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The weight file is missing, damaged, or not a Whisper model.
    #[error(transparent)]
    Weights(#[from] amanuensis_weights::Error),
    /// `AMANUENSIS_ISA` asks for what this machine or build does not have.
    #[error(transparent)]
    Isa(#[from] amanuensis_kernels::IsaError),
    /// A file beside the weights cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file beside the weights is not valid JSON, or not of the expected form.
    #[error("{} is damaged: {problem}; fetch the model again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The model's directory holds no vocabulary.
    #[error("no vocabulary in {}: looked for {looked_for}", directory.display())]
    NoVocabulary {
        /// The model's directory.
        directory: PathBuf,
        /// File names.
        looked_for: &'static str,
    },
    /// A token without which Whisper cannot be asked anything.
    #[error("the vocabulary in {} has no token {token}: is this a Whisper model?", directory.display())]
    MissingToken {
        /// The model's directory.
        directory: PathBuf,
        /// Its text.
        token: &'static str,
    },
    /// Sizes that contradict each other.
    #[error("the model in {} makes no sense: {problem}", directory.display())]
    Inconsistent {
        /// The model's directory.
        directory: PathBuf,
        /// What contradicts what.
        problem: String,
    },
    /// The model does not know the language asked for.
    #[error("this model does not know the language `{0}`")]
    UnknownLanguage(String),
    /// A multilingual model must be told the language.
    #[error("a multilingual model needs a language: name one, or detect it")]
    LanguageNeeded,
    /// An English-only model was asked for another language or for translation.
    #[error("this model knows English only: choose a multilingual one (a name without `.en`) for {0}")]
    EnglishOnly(String),
    /// The device asked for cannot be had.
    #[error("the device `{device}` cannot be used: {reason}")]
    Device {
        /// Which.
        device: crate::backend::Device,
        /// Why, and what to do.
        reason: String,
    },
    /// A mel window of the wrong size.
    #[error("a window of {found} mel values, where this model takes up to ({n_frames}, {n_mels})")]
    WindowShape {
        /// Values given.
        found: usize,
        /// Frames of a whole window.
        n_frames: usize,
        /// Mel bins.
        n_mels: usize,
    },
    /// An ONNX runtime was asked for in a build without one.
    #[error("this build has no ONNX runtime: it was made without the feature `onnx`")]
    NoOnnx,
    /// No ONNX export where one was looked for.
    #[error(
        "no ONNX export at {}: looked for encoder_model{suffix}.onnx, and decoder_model{suffix}.onnx with \
         decoder_with_past_model{suffix}.onnx or decoder_model_merged{suffix}.onnx (which of them is which, their \
         inputs tell), there or in its subdirectory onnx",
        path.display()
    )]
    NoExport {
        /// Where it was looked for.
        path: PathBuf,
        /// What the names of the variant's files end with.
        suffix: String,
    },
    /// A graph that is not of the form that Whisper's exports have, or that the ONNX runtime cannot run.
    #[error("{} cannot be used: {problem}", path.display())]
    Graph {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Word times were asked of an ONNX runtime.
    #[error("the times of words need to know where the decoder looks, which ONNX exports do not tell")]
    NoAttention,
}
