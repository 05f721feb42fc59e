//! What long-form transcription asks of a model, so that it can be tested with a scripted one.

use amanuensis_engine::{DecodeOptions, Decoded, Encoded, Engine, Error};

/// A model that reads one window at a time.
pub(crate) trait Model {
    /// What the encoder makes of a window.
    type Window;

    fn is_multilingual(&self) -> bool;
    fn knows_language(&self, code: &str) -> bool;

    /// Mel frames of a window, 10 ms each.
    fn n_frames(&self) -> usize;
    /// Runs the encoder on a log-mel window `(n_frames, n_mels)`.
    fn encode(&self, mel: &[f32]) -> Result<Self::Window, Error>;
    /// Codes of languages with probabilities, best first.
    fn detect_language(&self, window: &Self::Window) -> Vec<(String, f32)>;
    fn decode(&self, window: &Self::Window, options: &DecodeOptions) -> Result<Decoded, Error>;

    /// The text of tokens, timestamps left out.
    fn text(&self, tokens: &[u32]) -> String;
    /// The time a token stands for, in seconds from the start of its window.
    fn timestamp(&self, token: u32) -> Option<f64>;
}

impl Model for Engine {
    type Window = Encoded;

    fn is_multilingual(&self) -> bool {
        self.is_multilingual()
    }

    fn knows_language(&self, code: &str) -> bool {
        self.languages().any(|known| known == code)
    }

    fn n_frames(&self) -> usize {
        self.n_frames()
    }

    fn encode(&self, mel: &[f32]) -> Result<Encoded, Error> {
        self.encode(mel)
    }

    fn detect_language(&self, window: &Encoded) -> Vec<(String, f32)> {
        self.detect_language(window)
    }

    fn decode(&self, window: &Encoded, options: &DecodeOptions) -> Result<Decoded, Error> {
        self.decode(window, options)
    }

    fn text(&self, tokens: &[u32]) -> String {
        self.vocabulary().decode(tokens)
    }

    fn timestamp(&self, token: u32) -> Option<f64> {
        self.vocabulary().timestamp(token)
    }
}
