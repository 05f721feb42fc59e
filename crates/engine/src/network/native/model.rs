//! The encoder and the decoder of a model, loaded from a checkpoint.

use amanuensis_kernels::Context;
use amanuensis_weights::{Checkpoint, Tensor};

use super::decoder::{AttentionHook, Decoder};
use super::encoder::Encoder;
use crate::backend::{Backend, Cpu};
use crate::error::Error;
use crate::model::{Config, FRAMES_PER_POSITION, Loader, ModelDimensions};
use crate::network::encoder_output::EncoderOutput;
use crate::network::sequence::Sequence;
use crate::network::step::{Step, StepBuffers};
use crate::options::ComputeType;

pub(crate) struct NativeModel {
    /// The open weight file. It stays open, because token embeddings are read from it one row at a time.
    checkpoint: Checkpoint,
    encoder: Encoder,
    decoder: Decoder,
}

impl NativeModel {
    /// Loads both networks. The encoder's matrix products run on `backend`, those of the decoder on the CPU.
    pub(crate) fn load(
        checkpoint: Checkpoint,
        context: &Context,
        config: &Config,
        (compute_type, backend): (ComputeType, &dyn Backend),
    ) -> Result<Self, Error> {
        let inconsistent = |problem| Error::Inconsistent { directory: checkpoint.directory().to_owned(), problem };
        let loader = |backend| Loader { checkpoint: &checkpoint, context, compute_type, backend };
        let d_model = checkpoint.tensor("encoder.embed_positions.weight")?.row_len();
        let heads = |from_weights: Option<usize>, from_config: Option<usize>, network: &str| {
            let heads = from_weights.or(from_config).filter(|heads| *heads > 0 && d_model.is_multiple_of(*heads));
            heads.ok_or_else(|| {
                inconsistent(format!(
                    "neither its weights nor config.json give a number of {network} heads that divides {d_model}"
                ))
            })
        };
        let encoder_heads = heads(checkpoint.encoder_heads(), config.encoder_heads, "encoder")?;
        let decoder_heads = heads(checkpoint.decoder_heads(), config.decoder_heads, "decoder")?;
        let encoder = Encoder::load(&loader(backend), encoder_heads)?;
        let decoder = Decoder::load(&loader(&Cpu), decoder_heads)?;
        if decoder.d_model() != d_model {
            let problem =
                format!("the encoder's states have width {d_model}, but the decoder has width {}", decoder.d_model());
            return Err(inconsistent(problem));
        }
        if encoder.n_layers() == 0 || decoder.n_layers() == 0 {
            return Err(inconsistent("it has no layers".to_owned()));
        }
        Ok(Self { checkpoint, encoder, decoder })
    }

    /// The text tokens in the weight file, if it contains them.
    pub(crate) fn vocabulary(&self) -> Option<&[Vec<u8>]> {
        self.checkpoint.vocabulary()
    }

    pub(crate) fn dimensions(&self) -> ModelDimensions {
        let encoder = self.encoder.dimensions();
        ModelDimensions {
            n_mels: encoder.n_mels,
            n_audio_ctx: encoder.n_audio_ctx,
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

    /// Number of operations for encoding a full window. A multiplication and an addition count as two operations.
    pub(crate) fn encoder_operations(&self) -> u64 {
        self.encoder.operations()
    }

    /// Number of bytes that a decoder step over `batch` windows reads: the weights once, and the cross-attention keys
    /// and values of each window. The keys and values for self-attention are not counted, because they are small.
    pub(crate) fn step_bytes(&self, batch: usize) -> u64 {
        self.decoder.weight_bytes() + (batch * self.decoder.cross_bytes(self.encoder.dimensions().n_audio_ctx)) as u64
    }

    /// Approximate memory in bytes for decoding one window: its cross-attention keys and values, and a KV cache for a
    /// quarter of the text positions.
    pub(crate) fn window_bytes(&self) -> usize {
        let encoder = self.encoder.dimensions();
        let kv_cache = 2 * self.decoder.n_layers() * self.decoder.n_text_ctx() / 4 * encoder.d_model * size_of::<f32>();
        self.decoder.cross_bytes(encoder.n_audio_ctx) + kv_cache
    }

    /// Runs the encoder on `mel`, `(n_frames, n_mels)`. The decoder will attend to the first `visible_frames` frames only.
    pub(crate) fn encode(&self, context: &Context, mel: &[f32], visible_frames: usize) -> EncoderOutput {
        let states = self.encoder.run(context, mel);
        let visible = &states[..visible_frames / FRAMES_PER_POSITION * self.decoder.d_model()];
        let capacity = self.encoder.dimensions().n_audio_ctx;
        EncoderOutput::native(self.decoder.cross_key_values(context, visible, capacity))
    }

    /// Runs the encoder on `mel`, `(n_frames, n_mels)`, and returns its states, `(n_frames / 2, d_model)`.
    pub(crate) fn states(&self, context: &Context, mel: &[f32]) -> Vec<f32> {
        self.encoder.run(context, mel).to_vec()
    }

    /// Creates an empty sequence that attends to `window`. Also frees the pages of the token embedding that were read
    /// before.
    pub(crate) fn start(&self, window: &EncoderOutput) -> Sequence {
        // Without this, every page of the token embedding that was ever read would stay in memory.
        self.embedding().release();
        self.decoder.start(window)
    }

    pub(crate) fn buffers(&self) -> StepBuffers {
        self.decoder.buffers()
    }

    /// Calls [`Decoder::step`] with the token embedding of this model.
    pub(crate) fn step(&self, context: &Context, batch: &mut [Step<'_>], buffers: &mut StepBuffers) {
        self.decoder.step(context, batch, &|token, out| self.embed(token, out), buffers);
    }

    /// Calls [`Decoder::run`] with the token embedding of this model.
    pub(crate) fn run(
        &self,
        context: &Context,
        batch: &mut [Step<'_>],
        buffers: &mut StepBuffers,
        attention_hook: &mut AttentionHook<'_>,
    ) {
        self.decoder.run(context, batch, &|token, out| self.embed(token, out), buffers, attention_hook);
    }

    fn embed(&self, token: u32, out: &mut [f32]) {
        let row = token as usize;
        self.embedding().rows_f32(row..row + 1, out);
    }

    fn embedding(&self) -> Tensor<'_> {
        // Cannot fail: `load` has read this tensor, and a checkpoint does not change.
        self.checkpoint.get("decoder.embed_tokens.weight").expect("the embedding was loaded")
    }
}
