//! A loaded model and what it can be asked.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use amanuensis_kernels::attention::{KeyValues, SelfAttention};
use amanuensis_kernels::vector::softmax;
use amanuensis_kernels::{Context, Isa};
use amanuensis_weights::Checkpoint;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantNames};

use crate::backend::{Backend, Chosen, DeviceOptions, Usage, choose};
use crate::config::Config;
use crate::decode::{Batch, DecodeOptions, DecodingResult, MAX_PROMPT};
use crate::native::Native;
use crate::network::{Network, Runtime, Sizes};
use crate::onnx::Onnx;
use crate::sequence::{Sequence, Step, StepBuffers};
use crate::window::{EncoderOutput, encoded_frames, seen_frames};
use crate::{Error, Frames, Vocabulary};

/// The number format of the matrix products.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Display, EnumString, VariantNames, Serialize, Deserialize)]
#[strum(serialize_all = "lowercase")]
#[serde(rename_all = "lowercase")]
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

/// How to load a model.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// The number format of the matrix products; the graphs of an ONNX export have their own.
    pub compute_type: ComputeType,
    /// Threads to compute with, the caller's included; zero counts as one.
    pub threads: usize,
    /// What multiplies the encoder's matrices; the decoder stays on the processor.
    pub device: DeviceOptions,
    /// What runs the networks.
    pub runtime: Runtime,
}

/// A loaded Whisper model with its threads. Shared by reference; calls from several threads take turns at the cores.
pub struct Engine {
    path: PathBuf,
    context: Context,
    /// What the encoder's products run on.
    backend: Arc<dyn Backend>,
    /// What is to be said of that, until it has been said.
    notice: Mutex<Option<String>>,
    network: Network,
    vocabulary: Vocabulary,
    config: Config,
}

impl Engine {
    /// Loads the model in a directory, or of a weight file with its vocabulary beside it.
    pub fn load(model: &Path, options: &EngineOptions) -> Result<Self, Error> {
        let Chosen { backend, notice } = choose(options)?;
        let (context, network, directory, config) = match options.runtime {
            Runtime::Native => {
                let checkpoint = Checkpoint::open(model)?;
                let directory = checkpoint.directory().to_owned();
                let config = Config::read(&directory)?;
                let context = Context::new(options.threads)?;
                let native = Native::load(checkpoint, &context, &config, (options.compute_type, &*backend))?;
                (context, Network::Native(Box::new(native)), directory, config)
            }
            Runtime::Onnx => {
                let (onnx, directory, config) = Onnx::load(model, options.threads)?;
                // The runtime has threads of its own; what is left to do is too little for several.
                (Context::new(1)?, Network::Onnx(Box::new(onnx)), directory, config)
            }
        };
        let Sizes { n_mels, n_audio_ctx, n_text_ctx, n_vocab } = network.sizes();
        let problem = if n_audio_ctx == 0 || n_mels == 0 {
            Some("it has no positions, or no mel bins".to_owned())
        } else if n_text_ctx <= MAX_PROMPT {
            Some(format!("{n_text_ctx} text positions leave no room for text"))
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(Error::Inconsistent { directory, problem });
        }
        let in_weights = match &network {
            Network::Native(native) => native.vocabulary(),
            Network::Onnx(_) => None,
        };
        let vocabulary = Vocabulary::read(&directory, in_weights, n_vocab, n_audio_ctx, &config)?;
        let config = if config.is_given { config } else { Config::implied(&vocabulary) };
        let notice = Mutex::new(notice);
        Ok(Self { path: model.to_owned(), context, backend, notice, network, vocabulary, config })
    }

    /// What runs the networks.
    pub fn runtime(&self) -> Runtime {
        match self.network {
            Network::Native(_) => Runtime::Native,
            Network::Onnx(_) => Runtime::Onnx,
        }
    }

    /// Mel bins of a window.
    pub fn n_mels(&self) -> usize {
        self.network.sizes().n_mels
    }

    /// Mel frames of a window, 10 ms each.
    pub fn n_frames(&self) -> Frames {
        Frames(2 * self.network.sizes().n_audio_ctx)
    }

    /// Token positions of the decoder, prompt included.
    pub fn n_text_ctx(&self) -> usize {
        self.network.sizes().n_text_ctx
    }

    /// Operations of encoding a window, two for each product; nothing where an ONNX runtime does them.
    pub fn encoder_operations(&self) -> Option<u64> {
        Some(self.native()?.encoder_operations())
    }

    /// Bytes that a step of `batch` windows has to read: the weights once, and each window's keys and values; those of the
    /// text so far left out, which are few. Nothing where an ONNX runtime does the step.
    pub fn step_bytes(&self, batch: usize) -> Option<u64> {
        Some(self.native()?.step_bytes(batch))
    }

    /// Bytes of memory that a window takes while it is decoded, about: the keys and values that the
    /// decoder looks up, those of its text for a quarter of the positions that there can be.
    pub fn window_bytes(&self) -> usize {
        self.network.window_bytes()
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
    pub fn take_device_notice(&self) -> Option<String> {
        let notice = self.notice.lock().unwrap_or_else(PoisonError::into_inner).take();
        notice.or_else(|| self.backend.take_failure())
    }

    /// What an NPU was used for so far, where one is used.
    pub fn npu_usage(&self) -> Option<Usage> {
        self.backend.usage()
    }

    /// Frames that a window needs of which `frames` are of a recording, and silence the rest. All of [`Self::n_frames`] in
    /// f32, the reference, and where an ONNX runtime runs the model, whose graphs are made for that.
    pub fn window_frames(&self, frames: Frames) -> Frames {
        if self.saves_silence() { encoded_frames(frames).min(self.n_frames()) } else { self.n_frames() }
    }

    /// Whether windows have less silence than the model was trained with.
    fn saves_silence(&self) -> bool {
        self.native().is_some_and(|native| native.compute_type() == ComputeType::Int8)
    }

    /// Runs the encoder on a log-mel window `(n_frames, n_mels)`, or on an even number of its first frames, and prepares what
    /// the decoder looks up of it.
    ///
    /// # Errors
    /// [`Error::WindowShape`] for any other shape.
    pub fn encode(&self, mel: &[f32]) -> Result<EncoderOutput, Error> {
        self.check(mel)?;
        self.network.encode(&self.context, mel, mel.len() / self.n_mels())
    }

    /// The same for a window of which `frames` frames are of a recording, and silence the rest, as many as
    /// [`Self::window_frames`] says: in int8 the decoder is spared most of the silence of a long window.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_window(&self, mel: &[f32], frames: Frames) -> Result<EncoderOutput, Error> {
        self.check(mel)?;
        let all = Frames(mel.len() / self.n_mels());
        let seen = if self.saves_silence() { seen_frames(frames).min(all) } else { all };
        self.network.encode(&self.context, mel, seen.0)
    }

    /// What the encoder makes of a window: its states after the last layer norm, `(n_ctx, d_model)`, one for every two frames.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn states(&self, mel: &[f32]) -> Result<Vec<f32>, Error> {
        self.check(mel)?;
        self.network.states(&self.context, mel)
    }

    fn check(&self, mel: &[f32]) -> Result<(), Error> {
        let (n_frames, n_mels) = (self.n_frames().0, self.n_mels());
        let frames = mel.len() / n_mels;
        let is_part = self.native().is_some() && frames.is_multiple_of(2) && (1..n_frames).contains(&frames);
        if mel.len() != frames * n_mels || !(is_part || frames == n_frames) {
            return Err(Error::WindowShape { found: mel.len(), n_frames, n_mels });
        }
        Ok(())
    }

    /// The languages that a window may be in, with probabilities, best first. Empty for English-only models.
    pub fn detect_language(&self, window: &EncoderOutput) -> Result<Vec<(String, f32)>, Error> {
        if !self.is_multilingual() {
            return Ok(Vec::new());
        }
        let logits = self.step(&mut self.start(window), &[self.vocabulary.special().sot])?;
        let languages = self.vocabulary.language_tokens();
        let mut probabilities: Vec<f32> = languages.iter().map(|(_, id)| logits[*id as usize]).collect();
        softmax(self.context.cpu, &mut probabilities, 1.0);
        let codes = languages.iter().map(|(code, _)| code.clone());
        let mut detected: Vec<(String, f32)> = codes.zip(probabilities).collect();
        detected.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(detected)
    }

    /// Decodes the text of a window.
    ///
    /// # Errors
    /// Where the model cannot do what `options` ask.
    pub fn decode(&self, window: &EncoderOutput, options: &DecodeOptions) -> Result<DecodingResult, Error> {
        let mut batch = Batch::new(self);
        batch.join(0, window, options)?;
        loop {
            if let Some((_, decoded)) = batch.step()?.pop() {
                return Ok(decoded);
            }
        }
    }

    /// An empty sequence that listens to `window`.
    ///
    /// # Panics
    /// If another engine made the window, now or at the first step.
    pub fn start(&self, window: &EncoderOutput) -> Sequence {
        self.network.start(window)
    }

    /// Appends tokens to a sequence and returns the logits after the last of them, `(n_vocab)`.
    ///
    /// # Panics
    /// As [`Self::step_batch`].
    pub fn step(&self, sequence: &mut Sequence, tokens: &[u32]) -> Result<Vec<f32>, Error> {
        self.step_batch(&mut [Step { sequence, tokens }])
    }

    /// Appends tokens to each of several sequences and returns the logits after the last token of each,
    /// `(batch, n_vocab)`: the weights are read once for all, and each sequence gets what it would get alone.
    ///
    /// # Errors
    /// Where an ONNX runtime cannot run its graphs. The sequences are of no use any more then.
    ///
    /// # Panics
    /// If a step has no tokens, a token is not of this model, or a sequence would grow beyond [`Self::n_text_ctx`].
    pub fn step_batch(&self, batch: &mut [Step<'_>]) -> Result<Vec<f32>, Error> {
        let mut buffers = self.step_buffers();
        self.step_into(batch, &mut buffers)?;
        Ok(buffers.logits)
    }

    /// The context that this engine computes in.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Memory for [`Self::step_into`].
    pub fn step_buffers(&self) -> StepBuffers {
        self.network.buffers()
    }

    /// As [`Self::step_batch`], in memory that is kept from step to step.
    ///
    /// # Errors
    /// As [`Self::step_batch`].
    ///
    /// # Panics
    /// As [`Self::step_batch`].
    pub fn step_into(&self, batch: &mut [Step<'_>], buffers: &mut StepBuffers) -> Result<(), Error> {
        self.network.step(&self.context, batch, buffers)
    }

    /// The networks, where they are in our own arithmetic.
    pub(crate) fn native(&self) -> Option<&Native> {
        match &self.network {
            Network::Native(native) => Some(native),
            Network::Onnx(_) => None,
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("model", &self.path)
            .field("runtime", &self.runtime())
            .field("isa", &self.isa())
            .finish_non_exhaustive()
    }
}
