//! When each token of a text is spoken: from where the decoder looks while it reads the text.
//!
//! Some heads of the decoder's cross-attention follow the speech from word to word (which, the model's files say). The
//! text goes through the decoder once, all of it in one step; dynamic time warping finds the way of those heads through
//! the window. The method and its constants are those of `openai-whisper` (`whisper/timing.py`, `find_alignment`).

use amanuensis_kernels::Context;
use amanuensis_kernels::attention::KeyValues;
use amanuensis_kernels::gemm::RowsF32;
use amanuensis_kernels::vector::{log_sum_exp, median_of_7};

use crate::decode::prompt;
use crate::dtw::first_times;
use crate::encoder::FRAMES_PER_POSITION;
use crate::native::Native;
use crate::sequence::Step;
use crate::window::EncoderOutput;
use crate::{DecodeOptions, Engine, Error};

/// Positions on either side that the median filter looks at.
const MEDIAN_REACH: usize = 3;

/// Rows whose logits are held at a time: those of a long text would take more memory than the model.
const LOGIT_ROWS: usize = 32;

/// When the tokens of a text are spoken.
#[derive(Debug, Clone, PartialEq)]
pub struct Alignment {
    /// Where each token begins, and where the last one ends: in mel frames of 10 ms from the start of the window,
    /// `(n_tokens + 1)`, in order.
    pub times: Vec<usize>,
    /// How probable the model finds each token after those before it, among the text tokens, `(n_tokens)`.
    pub probabilities: Vec<f32>,
}

impl Engine {
    /// Finds out when each token of a text is spoken in the first `n_frames` mel frames of a window (at least two of
    /// them, and no more than the window has). `text` holds text tokens only; of `options`, language and task count.
    ///
    /// # Errors
    /// Where the model cannot do what `options` ask, and [`Error::NoAttention`] where an ONNX runtime runs it.
    ///
    /// # Panics
    /// If the text does not fit into the model's positions behind a prompt without timestamps, as any that was decoded
    /// does, or holds a token that is not of this model.
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
        // The row of the prompt's last token is that from which the first token of the text is predicted, and so on.
        let first = tokens.len() - 1;
        tokens.extend_from_slice(text);
        assert!(tokens.len() <= self.n_text_ctx(), "the text is too long");
        let eot = self.vocabulary().special().eot;
        if tokens.len() < self.n_text_ctx() {
            tokens.push(eot);
        }
        let [_, n_ctx, _] = window.cross().first().map_or([0; 3], KeyValues::shape);
        let positions = (n_frames / FRAMES_PER_POSITION).clamp(1, n_ctx);
        let heads = self.alignment_heads(native);
        let mut gaze = Gaze { first, positions, total: vec![0.0; (text.len() + 1) * positions], buffer: Vec::new() };
        let (context, mut buffers) = (self.context(), self.step_buffers());
        let mut sequence = self.start(window);
        let mut step = [Step { sequence: &mut sequence, tokens: &tokens }];
        native.run(context, &mut step, &mut buffers, &mut |layer, queries| {
            for (_, head) in heads.iter().filter(|(of, _)| *of == layer) {
                gaze.add(context, &window.cross()[layer], *head, queries);
            }
        });
        let times = first_times(&gaze.total, positions).into_iter().map(|time| time * FRAMES_PER_POSITION).collect();

        let n_vocab = self.vocabulary().n_vocab();
        let mut probabilities = vec![0.0; text.len()];
        for (index, (text, probabilities)) in
            text.chunks(LOGIT_ROWS).zip(probabilities.chunks_mut(LOGIT_ROWS)).enumerate()
        {
            let from = first + index * LOGIT_ROWS;
            native.decoder().project(context, from..from + text.len(), &mut buffers);
            let logits = buffers.logits();
            context.pool.chunks_mut(probabilities, 1, &|row, probability, _| {
                let logits = &logits[row * n_vocab..][..eot as usize];
                let (largest, log_sum) = log_sum_exp(context.cpu, logits);
                probability[0] = (logits[text[row] as usize] - largest - log_sum).exp();
            });
        }
        Ok(Alignment { times, probabilities })
    }

    /// The heads that follow the speech, layer and head: those the model's files name, or all of the second half of the
    /// layers.
    fn alignment_heads(&self, native: &Native) -> Vec<(usize, usize)> {
        let (layers, heads) = (native.decoder().n_layers(), native.decoder().n_heads());
        let named = self.config().alignment_heads.iter().copied();
        let known: Vec<_> = named.filter(|(layer, head)| *layer < layers && *head < heads).collect();
        if known.is_empty() {
            (layers / 2..layers).flat_map(|layer| (0..heads).map(move |head| (layer, head))).collect()
        } else {
            known
        }
    }
}

/// Where the decoder looks, added up over heads.
struct Gaze {
    /// The row of attention that `total` begins with.
    first: usize,
    positions: usize,
    /// `(n_tokens + 1, positions)`.
    total: Vec<f32>,
    /// The attention of one head, `(rows, positions)`.
    buffer: Vec<f32>,
}

impl Gaze {
    /// Adds where one head looks: its attention, normalised over tokens and smoothed over time.
    fn add(&mut self, context: &Context, window: &KeyValues, head: usize, queries: RowsF32<'_>) {
        let Self { first, positions, total, buffer } = self;
        buffer.resize(queries.rows * *positions, 0.0);
        window.weights(context, head, queries, buffer);
        let (mean, inverse) = moments(buffer, *positions);
        let (first, buffer) = (*first, &*buffer);
        context.pool.chunks_mut(total, *positions, &|row, total, _| {
            let weights = &buffer[(first + row) * total.len()..][..total.len()];
            let normalised = weights.iter().zip(&mean).zip(&inverse).map(|((w, mean), inverse)| (w - mean) * inverse);
            add_smooth(context, normalised, total);
        });
    }
}

/// Mean and inverse standard deviation of each column of `values`, `(rows, columns)`. A column of equals has no
/// deviation: its inverse is 0.
fn moments(values: &[f32], columns: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut mean, mut deviation) = (vec![0.0_f32; columns], vec![0.0_f32; columns]);
    let share = columns as f32 / values.len() as f32;
    for row in values.chunks_exact(columns) {
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value);
    }
    for mean in &mut mean {
        *mean *= share;
    }
    for row in values.chunks_exact(columns) {
        for ((deviation, value), mean) in deviation.iter_mut().zip(row).zip(&mean) {
            *deviation += (value - mean) * (value - mean);
        }
    }
    for deviation in &mut deviation {
        let inverse = 1.0 / (*deviation * share).sqrt();
        *deviation = if inverse.is_finite() { inverse } else { 0.0 };
    }
    (mean, deviation)
}

/// Adds the median-filtered `values` to `total`, which has the same length. Beyond its ends the row is mirrored, unless
/// it is too short for that: then it is not filtered.
fn add_smooth(context: &Context, values: impl Iterator<Item = f32>, total: &mut [f32]) {
    let count = total.len();
    let mut padded = vec![0.0; MEDIAN_REACH];
    padded.extend(values);
    let mut medians = vec![0.0; count];
    if count > MEDIAN_REACH {
        for reach in 1..=MEDIAN_REACH {
            padded[MEDIAN_REACH - reach] = padded[MEDIAN_REACH + reach];
            padded.push(padded[MEDIAN_REACH + count - 1 - reach]);
        }
        median_of_7(context.cpu, &padded, &mut medians);
    } else {
        medians.copy_from_slice(&padded[MEDIAN_REACH..]);
    }
    total.iter_mut().zip(medians).for_each(|(total, median)| *total += median);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_moments() {
        let (mean, inverse) = moments(&[1.0, 5.0, 0.0, 3.0, 5.0, 0.0], 3);
        assert_eq!((mean, inverse), (vec![2.0, 5.0, 0.0], vec![1.0, 0.0, 0.0]));
    }

    #[test]
    fn rows_are_mirrored_at_their_ends() {
        let context = Context::with(amanuensis_kernels::Cpu::detect(), 1);
        let smooth = |values: &[f32]| {
            let mut total = vec![1.0; values.len()];
            add_smooth(&context, values.iter().copied(), &mut total);
            total
        };
        // 3 2 1 | 0 1 2 3 9 | 3 2 1
        assert_eq!(smooth(&[0.0, 1.0, 2.0, 3.0, 9.0]), [3.0, 3.0, 3.0, 3.0, 3.0]);
        assert_eq!(smooth(&[5.0, 0.0, 7.0]), [6.0, 1.0, 8.0]);
    }
}
