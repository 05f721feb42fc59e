//! The dimensions of a model. Both runtimes, native and ONNX, can state them.

/// The number of mel frames for each encoder position. It is 2, because the encoder's second convolution has a stride
/// of 2.
pub(crate) const FRAMES_PER_POSITION: usize = 2;

/// The dimensions of a model, named as in openai-whisper's `ModelDimensions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_field_names, reason = "these are the names of openai-whisper")]
pub(crate) struct ModelDimensions {
    pub(crate) n_mels: usize,
    /// Number of positions of the encoder's output; each covers 20 ms of audio.
    pub(crate) n_audio_ctx: usize,
    /// The maximum number of tokens of a sequence, including the prompt.
    pub(crate) n_text_ctx: usize,
    pub(crate) n_vocab: usize,
}
