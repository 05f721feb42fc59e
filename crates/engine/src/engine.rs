//! A loaded model and what it can be asked.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use amanuensis_kernels::attention::{KeyValues, SelfAttention};
use amanuensis_kernels::vector::softmax;
use amanuensis_kernels::{Context, Isa};
use amanuensis_weights::{Checkpoint, Tensor};

use crate::backend::{Backend, Chosen, Cpu, DeviceOptions, Usage, choose};
use crate::config::Config;
use crate::decode::{Batch, DecodeOptions, Decoded, MAX_PROMPT};
use crate::decoder::{Decoder, Sequence, Step, StepBuffers};
use crate::encoder::{Encoded, Encoder};
use crate::loader::Loader;
use crate::{Error, Vocabulary};

/// The number format of the matrix products.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ComputeType {
    /// Activations with a scale a row, weights with a scale a channel, exact sums. Fast.
    #[default]
    Int8,
    /// The reference.
    F32,
}

impl ComputeType {
    /// Keys and values for the decoder's cross-attention, yet empty.
    pub(crate) fn cross_key_values(self) -> KeyValues {
        match self {
            Self::Int8 => KeyValues::Int8(Vec::new()),
            Self::F32 => KeyValues::F32(Vec::new()),
        }
    }

    /// The encoder's attention.
    pub(crate) fn self_attention(self, isa: Isa) -> SelfAttention {
        match self {
            // As fast as int8 on tiles, since the weights are made in fewer instructions, and more accurate.
            Self::Int8 if isa == Isa::Amx => SelfAttention::bf16(),
            Self::Int8 => SelfAttention::int8(),
            Self::F32 => SelfAttention::f32(),
        }
    }
}

impl fmt::Display for ComputeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Int8 => "int8",
            Self::F32 => "f32",
        })
    }
}

impl FromStr for ComputeType {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "int8" => Ok(Self::Int8),
            "f32" | "float32" => Ok(Self::F32),
            _ => Err(format!("unknown compute type `{name}`: int8 or f32")),
        }
    }
}

/// How to load a model.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// The number format of the matrix products.
    pub compute_type: ComputeType,
    /// Threads to compute with, the caller's included; zero counts as one.
    pub threads: usize,
    /// What multiplies the encoder's matrices; the decoder stays on the processor.
    pub device: DeviceOptions,
}

/// A loaded Whisper model with its threads. Shared by reference; calls from several threads take turns at the cores.
pub struct Engine {
    /// Kept open for the embedding of tokens, which is read a row at a time.
    checkpoint: Checkpoint,
    context: Context,
    /// What the encoder's products run on.
    backend: Arc<dyn Backend>,
    /// What is to be said of that, until it has been said.
    notice: Mutex<Option<String>>,
    encoder: Encoder,
    decoder: Decoder,
    vocabulary: Vocabulary,
    config: Config,
}

impl Engine {
    /// Loads the model in a directory, or of a weight file with its vocabulary beside it.
    pub fn load(model: &Path, options: &EngineOptions) -> Result<Self, Error> {
        let checkpoint = Checkpoint::open(model)?;
        let config = Config::read(checkpoint.directory())?;
        let context = Context::new(options.threads)?;
        let Chosen { backend, notice } = choose(&options.device, options.compute_type)?;
        let loader = |backend| Loader {
            checkpoint: &checkpoint,
            context: &context,
            compute_type: options.compute_type,
            backend,
        };
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
        let encoder = Encoder::load(&loader(&*backend), encoder_heads)?;
        let decoder = Decoder::load(&loader(&Cpu), decoder_heads)?;
        let n_audio_ctx = encoder.sizes().n_audio_ctx;
        let problem = if decoder.d_model() != d_model {
            Some(format!("encoder states of width {d_model}, a decoder of width {}", decoder.d_model()))
        } else if n_audio_ctx == 0 || encoder.sizes().n_mels == 0 || encoder.n_layers() == 0 || decoder.n_layers() == 0
        {
            Some("it has no layers, or no positions".to_owned())
        } else if decoder.n_text_ctx() <= MAX_PROMPT {
            Some(format!("{} text positions leave no room for text", decoder.n_text_ctx()))
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(Error::Inconsistent { directory: checkpoint.directory().to_owned(), problem });
        }
        let (directory, text) = (checkpoint.directory(), checkpoint.vocabulary());
        let vocabulary = Vocabulary::read(directory, text, decoder.n_vocab(), n_audio_ctx)?;
        let config = if config.is_given { config } else { Config::implied(&vocabulary) };
        let notice = Mutex::new(notice);
        Ok(Self { checkpoint, context, backend, notice, encoder, decoder, vocabulary, config })
    }

    /// Mel bins of a window.
    pub fn n_mels(&self) -> usize {
        self.encoder.sizes().n_mels
    }

    /// Mel frames of a window, 10 ms each.
    pub fn n_frames(&self) -> usize {
        2 * self.encoder.sizes().n_audio_ctx
    }

    /// Token positions of the decoder, prompt included.
    pub fn n_text_ctx(&self) -> usize {
        self.decoder.n_text_ctx()
    }

    /// Operations of encoding a window, two for each product.
    pub fn encoder_operations(&self) -> u64 {
        self.encoder.operations()
    }

    /// Bytes that a step of `batch` windows has to read: the weights once, and each window's keys and values; those of the
    /// text so far left out, which are few.
    pub fn step_bytes(&self, batch: usize) -> u64 {
        self.decoder.weight_bytes() + (batch * self.decoder.cross_bytes(self.encoder.sizes().n_audio_ctx)) as u64
    }

    /// Bytes of memory that a window takes while it is decoded, about: its states, and the keys and values that the
    /// decoder looks up, those of its text for a quarter of the positions that there can be.
    pub fn window_bytes(&self) -> usize {
        let sizes = self.encoder.sizes();
        let states = sizes.n_audio_ctx * sizes.d_model * size_of::<f32>();
        let text = 2 * self.decoder.n_layers() * self.n_text_ctx() / 4 * sizes.d_model * size_of::<f32>();
        states + self.decoder.cross_bytes(sizes.n_audio_ctx) + text
    }

    /// Whether the model knows more than English.
    pub fn is_multilingual(&self) -> bool {
        self.vocabulary.is_multilingual()
    }

    /// The codes of the languages that the model knows.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        let english_only = !self.is_multilingual();
        self.vocabulary.languages().filter(move |code| !english_only || *code == "en")
    }

    /// The tokens.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.context.cpu.isa()
    }

    /// The device that the encoder's products run on, by its name in options.
    pub fn device(&self) -> &'static str {
        self.backend.name()
    }

    /// What is to be said of the device, once: that one is there and cannot be used, or that it has failed and the
    /// processor has taken over.
    pub fn take_notice(&self) -> Option<String> {
        let notice = self.notice.lock().unwrap_or_else(PoisonError::into_inner).take();
        notice.or_else(|| self.backend.take_failure())
    }

    /// What an NPU was used for so far, where one is used.
    pub fn npu_usage(&self) -> Option<Usage> {
        self.backend.usage()
    }

    /// Runs the encoder on a log-mel window `(n_frames, n_mels)`.
    pub fn encode(&self, mel: &[f32]) -> Result<Encoded, Error> {
        let (n_frames, n_mels) = (self.n_frames(), self.n_mels());
        if mel.len() != n_frames * n_mels {
            return Err(Error::WindowShape { found: mel.len(), n_frames, n_mels });
        }
        let states = self.encoder.run(&self.context, mel);
        let cross = self.decoder.cross_key_values(&self.context, &states);
        Ok(Encoded::new(states, cross))
    }

    /// The languages that a window may be in, with probabilities, best first. Empty for English-only models.
    pub fn detect_language(&self, window: &Encoded) -> Vec<(String, f32)> {
        if !self.is_multilingual() {
            return Vec::new();
        }
        let logits = self.step(&mut self.start(window), &[self.vocabulary.special().sot]);
        let languages = self.vocabulary.language_tokens();
        let mut probabilities: Vec<f32> = languages.iter().map(|(_, id)| logits[*id as usize]).collect();
        softmax(self.context.cpu, &mut probabilities, 1.0);
        let codes = languages.iter().map(|(code, _)| code.clone());
        let mut detected: Vec<(String, f32)> = codes.zip(probabilities).collect();
        detected.sort_by(|a, b| b.1.total_cmp(&a.1));
        detected
    }

    /// Decodes the text of a window.
    ///
    /// # Errors
    /// Where the model cannot do what `options` ask.
    pub fn decode(&self, window: &Encoded, options: &DecodeOptions) -> Result<Decoded, Error> {
        let mut batch = Batch::new(self);
        batch.join(0, window, options)?;
        loop {
            if let Some((_, decoded)) = batch.step().pop() {
                return Ok(decoded);
            }
        }
    }

    /// An empty sequence that listens to `window`.
    pub fn start(&self, window: &Encoded) -> Sequence {
        // Or every page of the embedding would stay in memory once a token on it has been said.
        self.embedding().release();
        self.decoder.start(window)
    }

    /// Appends tokens to a sequence and returns the logits after the last of them, `(n_vocab)`.
    ///
    /// # Panics
    /// As [`Self::step_batch`].
    pub fn step(&self, sequence: &mut Sequence, tokens: &[u32]) -> Vec<f32> {
        self.step_batch(&mut [Step { sequence, tokens }])
    }

    /// Appends tokens to each of several sequences and returns the logits after the last token of each,
    /// `(batch, n_vocab)`: the weights are read once for all, and each sequence gets what it would get alone.
    ///
    /// # Panics
    /// If a step has no tokens, a token is not of this model, or a sequence would grow beyond [`Self::n_text_ctx`].
    pub fn step_batch(&self, batch: &mut [Step<'_>]) -> Vec<f32> {
        let mut buffers = self.decoder.buffers();
        self.step_into(batch, &mut buffers);
        buffers.logits
    }

    /// The context that this engine computes in.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Memory for [`Self::step_into`].
    pub fn step_buffers(&self) -> StepBuffers {
        self.decoder.buffers()
    }

    /// As [`Self::step_batch`], in memory that is kept from step to step.
    ///
    /// # Panics
    /// As [`Self::step_batch`].
    pub fn step_into(&self, batch: &mut [Step<'_>], buffers: &mut StepBuffers) {
        self.decoder.step(&self.context, batch, &|token, out| self.embed(token, out), buffers);
    }

    pub(crate) fn embed(&self, token: u32, out: &mut [f32]) {
        let row = token as usize;
        self.embedding().rows_f32(row..row + 1, out);
    }

    fn embedding(&self) -> Tensor<'_> {
        // `load` read this tensor, and a checkpoint does not change.
        self.checkpoint.get("decoder.embed_tokens.weight").expect("the embedding was loaded")
    }

    pub(crate) fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("model", &self.checkpoint).field("isa", &self.isa()).finish_non_exhaustive()
    }
}
