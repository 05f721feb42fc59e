//! The networks in our own arithmetic.

use amanuensis_kernels::Context;
use amanuensis_weights::{Checkpoint, Tensor};

use crate::backend::{Backend, Cpu};
use crate::config::Config;
use crate::decoder::{Decoder, Listen};
use crate::encoder::{Encoder, FRAMES_PER_POSITION};
use crate::loader::Loader;
use crate::network::Sizes;
use crate::sequence::{Sequence, Step, StepBuffers};
use crate::window::EncoderOutput;
use crate::{ComputeType, Error};

pub(crate) struct Native {
    /// Kept open for the embedding of tokens, which is read a row at a time.
    checkpoint: Checkpoint,
    encoder: Encoder,
    decoder: Decoder,
}

impl Native {
    /// `backend` multiplies for the encoder, the processor for the decoder.
    pub(crate) fn load(
        checkpoint: Checkpoint,
        context: &Context,
        config: &Config,
        (compute_type, backend): (ComputeType, &dyn Backend),
    ) -> Result<Self, Error> {
        let loader = |backend| Loader { checkpoint: &checkpoint, context, compute_type, backend };
        let d_model = checkpoint.tensor("encoder.embed_positions.weight")?.row_len();
        let heads = |from_weights: Option<usize>, from_config: Option<usize>, network: &str| {
            let heads = from_weights.or(from_config).filter(|heads| *heads > 0 && d_model.is_multiple_of(*heads));
            heads.ok_or_else(|| Error::Inconsistent {
                directory: checkpoint.directory().to_owned(),
                problem: format!(
                    "neither its weights nor config.json give a number of {network} heads that divides {d_model}"
                ),
            })
        };
        let encoder_heads = heads(checkpoint.encoder_heads(), config.encoder_heads, "encoder")?;
        let decoder_heads = heads(checkpoint.decoder_heads(), config.decoder_heads, "decoder")?;
        let encoder = Encoder::load(&loader(backend), encoder_heads)?;
        let decoder = Decoder::load(&loader(&Cpu), decoder_heads)?;
        let problem = if decoder.d_model() != d_model {
            Some(format!("encoder states of width {d_model}, a decoder of width {}", decoder.d_model()))
        } else if encoder.n_layers() == 0 || decoder.n_layers() == 0 {
            Some("it has no layers".to_owned())
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(Error::Inconsistent { directory: checkpoint.directory().to_owned(), problem });
        }
        Ok(Self { checkpoint, encoder, decoder })
    }

    /// The text tokens in the weight file, if it has them.
    pub(crate) fn vocabulary(&self) -> Option<&[Vec<u8>]> {
        self.checkpoint.vocabulary()
    }

    pub(crate) fn sizes(&self) -> Sizes {
        let of_encoder = self.encoder.sizes();
        Sizes {
            n_mels: of_encoder.n_mels,
            n_audio_ctx: of_encoder.n_audio_ctx,
            n_text_ctx: self.decoder.n_text_ctx(),
            n_vocab: self.decoder.n_vocab(),
        }
    }

    pub(crate) fn compute_type(&self) -> ComputeType {
        self.decoder.compute_type()
    }

    pub(crate) fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    pub(crate) fn encoder_operations(&self) -> u64 {
        self.encoder.operations()
    }

    /// Bytes that a step of `batch` windows has to read: the weights once, and each window's keys and values; those of the
    /// text so far left out, which are few.
    pub(crate) fn step_bytes(&self, batch: usize) -> u64 {
        self.decoder.weight_bytes() + (batch * self.decoder.cross_bytes(self.encoder.sizes().n_audio_ctx)) as u64
    }

    /// The keys and values that the decoder looks up of a window, and those of its text for a quarter of the positions that
    /// there can be.
    pub(crate) fn window_bytes(&self) -> usize {
        let sizes = self.encoder.sizes();
        let text = 2 * self.decoder.n_layers() * self.decoder.n_text_ctx() / 4 * sizes.d_model * size_of::<f32>();
        self.decoder.cross_bytes(sizes.n_audio_ctx) + text
    }

    /// `mel` is `(frames, n_mels)`; the decoder will see the first `seen` frames.
    pub(crate) fn encode(&self, context: &Context, mel: &[f32], seen: usize) -> EncoderOutput {
        let states = self.encoder.run(context, mel);
        let seen = &states[..seen / FRAMES_PER_POSITION * self.decoder.d_model()];
        EncoderOutput::native(self.decoder.cross_key_values(context, seen, self.encoder.sizes().n_audio_ctx))
    }

    /// The encoder's states, `(frames / 2, d_model)`.
    pub(crate) fn states(&self, context: &Context, mel: &[f32]) -> Vec<f32> {
        self.encoder.run(context, mel).to_vec()
    }

    pub(crate) fn start(&self, window: &EncoderOutput) -> Sequence {
        // Or every page of the embedding would stay in memory once a token on it has been said.
        self.embedding().release();
        self.decoder.start(window)
    }

    pub(crate) fn buffers(&self) -> StepBuffers {
        self.decoder.buffers()
    }

    pub(crate) fn step(&self, context: &Context, batch: &mut [Step<'_>], buffers: &mut StepBuffers) {
        self.decoder.step(context, batch, &|token, out| self.embed(token, out), buffers);
    }

    /// [`Decoder::run`] with the embedding of this model.
    pub(crate) fn run(
        &self,
        context: &Context,
        batch: &mut [Step<'_>],
        buffers: &mut StepBuffers,
        listen: &mut Listen<'_>,
    ) {
        self.decoder.run(context, batch, &|token, out| self.embed(token, out), buffers, listen);
    }

    fn embed(&self, token: u32, out: &mut [f32]) {
        let row = token as usize;
        self.embedding().rows_f32(row..row + 1, out);
    }

    fn embedding(&self) -> Tensor<'_> {
        // `load` read this tensor, and a checkpoint does not change.
        self.checkpoint.get("decoder.embed_tokens.weight").expect("the embedding was loaded")
    }
}
