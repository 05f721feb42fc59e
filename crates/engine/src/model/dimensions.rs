//! The dimensions that every runtime knows of a model.

/// Mel frames for each position of the encoder: its second convolution has a stride of 2.
pub(crate) const FRAMES_PER_POSITION: usize = 2;

/// Dimensions of a model, named as in openai-whisper's `ModelDimensions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_field_names, reason = "these are the names of openai-whisper")]
pub(crate) struct ModelDimensions {
    pub(crate) n_mels: usize,
    /// Positions of the encoder.
    pub(crate) n_audio_ctx: usize,
    /// Token positions of the decoder, including the prompt.
    pub(crate) n_text_ctx: usize,
    pub(crate) n_vocab: usize,
}
