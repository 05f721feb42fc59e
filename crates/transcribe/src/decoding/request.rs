//! The request to decode a window, and how requests are built from [`TranscribeOptions`].

use std::sync::Arc;

use amanuensis_engine::{DecodeOptions, Frames};

use super::fallback::Fallback;
use super::prompt::Prompt;
use crate::{Language, TranscribeOptions};

/// A request to decode a window.
pub(crate) struct Request {
    /// The log-mel spectrogram of the window, with the shape `(n_frames, n_mels)`. It has as many frames as
    /// [`Engine::window_frames`](amanuensis_engine::Engine::window_frames) asks for.
    pub(crate) mel: Vec<f32>,
    /// The number of frames at the start of `mel` that are part of the recording; the frames after them are padding.
    pub(crate) content_frames: Frames,
    /// The cost of this window in the queue that all clients share, in seconds of audio.
    pub(crate) cost_s: f64,
    /// The language spoken. If `None`, a multilingual model detects the language.
    pub(crate) language: Option<Language>,
    /// Candidates for language detection; empty means all languages.
    pub(crate) languages: Vec<Language>,
    /// Decoding options of the first attempt. The worker thread sets their language, search method and
    /// `abandon_loops`.
    pub(crate) options: DecodeOptions,
    /// The prompt of all attempts after the first. It replaces [`DecodeOptions::previous`].
    pub(crate) retry_prompt: Vec<u32>,
    /// The temperatures to try, and the thresholds for accepting a hypothesis.
    pub(crate) fallback: Arc<Fallback>,
    /// The random seed for sampling in this window.
    pub(crate) seed: u64,
    /// Whether the answer includes the encoder output, which is needed for word timestamps.
    pub(crate) returns_encoder_output: bool,
    /// Seconds of speech in the window; `None` without a voice activity detector.
    pub(crate) speech_s: Option<f64>,
}

/// The inputs of a request that differ between the windows of one recording or stream.
pub(crate) struct WindowInput<'p> {
    /// See [`Request::mel`].
    pub(crate) mel: Vec<f32>,
    /// See [`Request::content_frames`].
    pub(crate) content_frames: Frames,
    /// See [`Request::cost_s`].
    pub(crate) cost_s: f64,
    /// See [`Request::seed`].
    pub(crate) seed: u64,
    /// See [`Request::language`].
    pub(crate) language: Option<Language>,
    /// The prompt of the first attempt. Later attempts get only its static part: hot words and initial prompt.
    pub(crate) prompt: &'p Prompt,
    /// Tokens with which the hypothesis must begin.
    pub(crate) prefix: Vec<u32>,
    /// See [`Request::speech_s`].
    pub(crate) speech_s: Option<f64>,
}

/// Builds the requests of one recording or one live stream from its [`TranscribeOptions`].
pub(crate) struct RequestBuilder {
    options: DecodeOptions,
    languages: Vec<Language>,
    fallback: Arc<Fallback>,
    returns_encoder_output: bool,
}

impl RequestBuilder {
    /// Creates a builder for the windows of a recording.
    pub(crate) fn new(options: &TranscribeOptions) -> Self {
        Self {
            options: options.decode_options(),
            languages: options.languages.clone(),
            fallback: Arc::new(Fallback::new(options)),
            returns_encoder_output: options.word_timestamps,
        }
    }

    /// Creates a builder for the windows of a live stream.
    ///
    /// Word times of a live stream always come from cross-attention alignment. Timestamp tokens are turned off: the
    /// hypothesis must begin with the committed words, and these are stored without timestamp tokens.
    pub(crate) fn for_stream(options: &TranscribeOptions) -> Self {
        let builder = Self::new(options);
        let options = DecodeOptions { timestamps: false, ..builder.options };
        Self { options, returns_encoder_output: true, ..builder }
    }

    /// Builds the request for one window.
    pub(crate) fn build(&self, input: WindowInput<'_>) -> Request {
        let WindowInput { mel, content_frames, cost_s, seed, language, prompt, prefix, speech_s } = input;
        Request {
            mel,
            content_frames,
            cost_s,
            language,
            languages: self.languages.clone(),
            options: DecodeOptions { previous: prompt.for_next_window(), prefix, ..self.options.clone() },
            retry_prompt: prompt.static_prompt(),
            fallback: Arc::clone(&self.fallback),
            seed,
            returns_encoder_output: self.returns_encoder_output,
            speech_s,
        }
    }
}
