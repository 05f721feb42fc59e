//! Token timestamps from the decoder's cross-attention.
//!
//! The attention of some cross-attention heads follows the speech from word to word; the model's files list these
//! heads. The decoder processes all tokens of a window in a single step. Dynamic time warping then finds a path
//! through the attention of these heads. The method and its constants are those of openai-whisper (`find_alignment`
//! in `whisper/timing.py`).

use amanuensis_kernels::attention::KeyValues;
use amanuensis_kernels::vector::log_sum_exp;

use super::attention_matrix::AttentionMatrix;
use super::dtw::start_columns;
use crate::decode::{DecodeOptions, prompt};
use crate::engine::Engine;
use crate::error::Error;
use crate::model::FRAMES_PER_POSITION;
use crate::network::native::NativeModel;
use crate::network::{EncoderOutput, Step, StepBuffers};

/// The number of rows (tokens) for which logits are computed at a time. The logits of all rows of a long sequence
/// would need more memory than the model.
const LOGIT_ROWS: usize = 32;

/// The result of [`Engine::align`].
#[derive(Debug, Clone, PartialEq)]
pub struct Alignment {
    /// The start of each token, followed by the end of the final token. The unit is mel frames of 10 ms from the
    /// start of the window. The list has `n_tokens + 1` elements in ascending order.
    pub times: Vec<usize>,
    /// The probability of each token among all text tokens, given the tokens before it. The list has `n_tokens`
    /// elements.
    pub probabilities: Vec<f32>,
}

impl Engine {
    /// Finds the time at which each token of `text` is spoken, within the first `n_frames` mel frames of a window.
    /// `text` may contain text tokens only. Of `options`, only language and task are used. If `n_frames` is less than
    /// one encoder position, or more than the frames of the window, the nearest valid number is used instead.
    ///
    /// # Errors
    /// If the model does not support what `options` request, and [`Error::NoAttention`] for the ONNX runtime.
    ///
    /// # Panics
    /// If the prompt and `text` together have more tokens than the model has text positions, or a token is not in the
    /// vocabulary. The text tokens of a decoded window always fit.
    pub fn align(
        &self,
        window: &EncoderOutput,
        options: &DecodeOptions,
        text: &[u32],
        n_frames: usize,
    ) -> Result<Alignment, Error> {
        let native = self.native().ok_or(Error::NoAttention)?;
        let request = DecodeOptions {
            language: options.language.clone(),
            task: options.task,
            timestamps: false,
            ..DecodeOptions::default()
        };
        let mut tokens = prompt(self, &request)?.tokens;
        // The logits in a row predict the next token, so the row of the prompt's final token predicts the first text
        // token.
        let first_row = tokens.len() - 1;
        tokens.extend_from_slice(text);
        assert!(tokens.len() <= self.n_text_ctx(), "prompt and text exceed the text positions");
        if tokens.len() < self.n_text_ctx() {
            tokens.push(self.vocabulary().special().eot);
        }
        let [_, n_ctx, _] = window.cross().first().map_or([0; 3], KeyValues::shape);
        let positions = (n_frames / FRAMES_PER_POSITION).clamp(1, n_ctx);
        let heads = self.alignment_heads(native);
        let mut attention = AttentionMatrix::new(first_row, text.len() + 1, positions);
        let (context, mut buffers) = (self.context(), self.step_buffers());
        let mut sequence = self.start(window);
        let mut step = [Step { sequence: &mut sequence, tokens: &tokens }];
        native.run(context, &mut step, &mut buffers, &mut |layer, queries| {
            for (_, head) in heads.iter().filter(|(head_layer, _)| *head_layer == layer) {
                attention.add_head(context, &window.cross()[layer], *head, queries);
            }
        });
        let starts = start_columns(attention.sum(), positions);
        let times = starts.into_iter().map(|position| position * FRAMES_PER_POSITION).collect();
        let probabilities = self.token_probabilities(native, text, first_row, &mut buffers);
        Ok(Alignment { times, probabilities })
    }

    /// The probability of each token of `text` among all text tokens. `buffers` must contain the states of the most
    /// recent step, in which row `first_row` predicts the first token of `text`.
    fn token_probabilities(
        &self,
        native: &NativeModel,
        text: &[u32],
        first_row: usize,
        buffers: &mut StepBuffers,
    ) -> Vec<f32> {
        let context = self.context();
        let (n_vocab, eot) = (self.vocabulary().n_vocab(), self.vocabulary().special().eot);
        let mut probabilities = vec![0.0; text.len()];
        let chunks = text.chunks(LOGIT_ROWS).zip(probabilities.chunks_mut(LOGIT_ROWS));
        for (index, (text, probabilities)) in chunks.enumerate() {
            let first_row = first_row + index * LOGIT_ROWS;
            native.decoder().project(context, first_row..first_row + text.len(), buffers);
            let logits = buffers.logits();
            context.pool.chunks_mut(probabilities, 1, &|row, probability, _| {
                let logits = &logits[row * n_vocab..][..eot as usize];
                let (max, log_sum) = log_sum_exp(context.cpu, logits);
                probability[0] = (logits[text[row] as usize] - max - log_sum).exp();
            });
        }
        probabilities
    }

    /// The cross-attention heads to align with, as `(layer, head)`. If the model's files list none that exist, all
    /// heads in the second half of the layers are used.
    fn alignment_heads(&self, native: &NativeModel) -> Vec<(usize, usize)> {
        let (layers, heads) = (native.decoder().n_layers(), native.decoder().n_heads());
        let listed = self.config().alignment_heads.iter().copied();
        let existing: Vec<_> = listed.filter(|(layer, head)| *layer < layers && *head < heads).collect();
        if existing.is_empty() {
            (layers / 2..layers).flat_map(|layer| (0..heads).map(move |head| (layer, head))).collect()
        } else {
            existing
        }
    }
}
