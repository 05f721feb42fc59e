//! A loaded model.
//!
//! Two methods of `Engine` are defined elsewhere: `Engine::decode` in `decode::batch`, and `Engine::align` in
//! `align::alignment`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use amanuensis_kernels::vector::softmax;
use amanuensis_kernels::{Context, Isa};
use amanuensis_weights::Checkpoint;

#[cfg(feature = "npu")]
use crate::backend::Usage;
use crate::backend::{Backend, Chosen, check_options, choose};
use crate::error::Error;
use crate::model::{Config, FRAMES_PER_POSITION, ModelDimensions};
use crate::network::native::NativeModel;
use crate::network::{EncoderOutput, Network, OnnxModel, Sequence, Step, StepBuffers, encoded_frames, visible_frames};
use crate::options::{ComputeType, EngineOptions, Runtime};
use crate::tokenizer::{Vocabulary, default_config};
use crate::units::Frames;

/// The maximum number of prompt tokens without previous text: start of transcript, language, task, and no timestamps.
const MAX_PROMPT_TOKENS: usize = 4;

/// A loaded Whisper model with its thread pool. Several threads can use it at once; they share the thread pool.
pub struct Engine {
    path: PathBuf,
    context: Context,
    /// The device that computes the encoder's matrix products.
    backend: Arc<dyn Backend>,
    /// A message about the choice of the device. `None` if there is nothing to tell, or if `take_device_notice` has
    /// already returned it.
    device_notice: Mutex<Option<String>>,
    network: Network,
    vocabulary: Vocabulary,
    config: Config,
}

impl Engine {
    /// Loads a model. `model` is the path of the model's directory, or of a weight file in that directory.
    pub fn load(model: &Path, options: &EngineOptions) -> Result<Self, Error> {
        Self::load_chosen(model, options, choose(options)?)
    }

    /// Loads a model as [`Self::load`] does, but computes the encoder's matrix products on the given backend and
    /// ignores `options.device`.
    ///
    /// # Errors
    /// The errors of [`Self::load`], and an error if `options` choose a runtime or a compute type that only the CPU
    /// supports.
    pub fn load_with_backend(model: &Path, options: &EngineOptions, backend: Arc<dyn Backend>) -> Result<Self, Error> {
        check_options(options)?;
        Self::load_chosen(model, options, Chosen { backend, notice: None })
    }

    fn load_chosen(model: &Path, options: &EngineOptions, chosen: Chosen) -> Result<Self, Error> {
        let Chosen { backend, notice } = chosen;
        let (context, network, directory, config) = match options.runtime {
            Runtime::Native => {
                let checkpoint = Checkpoint::open(model)?;
                let directory = checkpoint.directory().to_owned();
                let config = Config::read(&directory)?;
                let context = Context::new(options.threads)?;
                let native = NativeModel::load(checkpoint, &context, &config, (options.compute_type, &*backend))?;
                (context, Network::Native(Box::new(native)), directory, config)
            }
            Runtime::Onnx => {
                let (onnx, directory, config) = OnnxModel::load(model, options.threads)?;
                // The ONNX runtime has its own threads. The work outside of the runtime is too little for more than
                // one thread.
                (Context::new(1)?, Network::Onnx(Box::new(onnx)), directory, config)
            }
        };
        let dimensions = network.dimensions();
        check_dimensions(dimensions)
            .map_err(|problem| Error::Inconsistent { directory: directory.clone(), problem })?;
        let in_weights = match &network {
            Network::Native(native) => native.vocabulary(),
            Network::Onnx(_) => None,
        };
        let ModelDimensions { n_vocab, n_audio_ctx, .. } = dimensions;
        let vocabulary = Vocabulary::read(&directory, in_weights, n_vocab, n_audio_ctx, &config)?;
        let config = if config.exists { config } else { default_config(&vocabulary) };
        let device_notice = Mutex::new(notice);
        Ok(Self { path: model.to_owned(), context, backend, device_notice, network, vocabulary, config })
    }

    /// The runtime that runs the networks.
    pub fn runtime(&self) -> Runtime {
        match self.network {
            Network::Native(_) => Runtime::Native,
            Network::Onnx(_) => Runtime::Onnx,
        }
    }

    /// Number of mel bins of a window.
    pub fn n_mels(&self) -> usize {
        self.network.dimensions().n_mels
    }

    /// Number of mel frames of a full window.
    pub fn n_frames(&self) -> Frames {
        Frames(FRAMES_PER_POSITION * self.network.dimensions().n_audio_ctx)
    }

    /// The maximum number of tokens of a sequence, including the prompt.
    pub fn n_text_ctx(&self) -> usize {
        self.network.dimensions().n_text_ctx
    }

    /// Number of operations for encoding a full window. A multiplication and an addition count as two operations.
    /// `None` for the ONNX runtime.
    pub fn encoder_operations(&self) -> Option<u64> {
        Some(self.native()?.encoder_operations())
    }

    /// Number of bytes that a decoder step over `batch` windows reads: the weights once, and the cross-attention keys
    /// and values of each window. The KV caches for self-attention are not counted, because they are small. `None`
    /// for the ONNX runtime.
    pub fn step_bytes(&self, batch: usize) -> Option<u64> {
        Some(self.native()?.step_bytes(batch))
    }

    /// Approximate memory in bytes for decoding one window: its cross-attention keys and values, and a KV cache for a
    /// quarter of the text positions.
    pub fn window_bytes(&self) -> usize {
        self.network.window_bytes()
    }

    /// Whether the model is multilingual.
    pub fn is_multilingual(&self) -> bool {
        self.vocabulary.is_multilingual()
    }

    /// The codes of the languages that the model knows.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        let english_only = !self.is_multilingual();
        self.vocabulary.languages().filter(move |code| !english_only || *code == "en")
    }

    /// The vocabulary of the model.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The CPU instruction set that the engine uses.
    pub fn isa(&self) -> Isa {
        self.context.cpu.isa()
    }

    /// The name of the device that computes the encoder's matrix products.
    pub fn device(&self) -> &'static str {
        self.backend.name()
    }

    /// Returns the message about the device, if there is a new one, and forgets it. The message tells that an NPU is
    /// present but not used, or that it has failed and the CPU has taken over.
    pub fn take_device_notice(&self) -> Option<String> {
        // A thread that panics cannot leave the option in an invalid state, so a poisoned lock is used as it is.
        let notice = self.device_notice.lock().unwrap_or_else(PoisonError::into_inner).take();
        notice.or_else(|| self.backend.take_failure())
    }

    /// The work that the NPU has done so far. `None` if no NPU is in use.
    #[cfg(feature = "npu")]
    pub fn npu_usage(&self) -> Option<Usage> {
        self.backend.usage()
    }

    /// Number of mel frames to pass to [`Self::encode_window`] for a window that contains `frames` frames of a
    /// recording. The frames after those of the recording must be silence. In int8, the result is less than a full
    /// window if the recording is short. With f32 weights and for the ONNX runtime it is always [`Self::n_frames`]:
    /// f32 is the reference, and the ONNX graphs have a fixed input shape.
    pub fn window_frames(&self, frames: Frames) -> Frames {
        if self.shortens_silence() { encoded_frames(frames).min(self.n_frames()) } else { self.n_frames() }
    }

    /// Whether short recordings are padded with less silence than the windows that the model was trained on.
    fn shortens_silence(&self) -> bool {
        self.native().is_some_and(|native| native.compute_type() == ComputeType::Int8)
    }

    /// Runs the encoder on a log-mel window `(n_frames, n_mels)` and computes the window's cross-attention keys and
    /// values. The native runtime, unlike ONNX, also accepts shorter windows with an even number of frames.
    ///
    /// # Errors
    /// [`Error::WindowShape`] for any other shape.
    pub fn encode(&self, mel: &[f32]) -> Result<EncoderOutput, Error> {
        self.check_shape(mel)?;
        self.network.encode(&self.context, mel, mel.len() / self.n_mels())
    }

    /// Encodes a window that contains `frames` frames of a recording and is padded with silence to
    /// [`Self::window_frames`]. In int8, the decoder will not attend to most of the silence. Apart from that it does
    /// the same as [`Self::encode`].
    ///
    /// # Errors
    /// The errors of [`Self::encode`].
    pub fn encode_window(&self, mel: &[f32], frames: Frames) -> Result<EncoderOutput, Error> {
        self.check_shape(mel)?;
        let all = Frames(mel.len() / self.n_mels());
        let visible = if self.shortens_silence() { visible_frames(frames).min(all) } else { all };
        self.network.encode(&self.context, mel, visible.0)
    }

    /// The encoder's states of a window after the final layer norm, `(n_ctx, d_model)`. There is one state for every
    /// two mel frames.
    ///
    /// # Errors
    /// The errors of [`Self::encode`].
    pub fn states(&self, mel: &[f32]) -> Result<Vec<f32>, Error> {
        self.check_shape(mel)?;
        self.network.states(&self.context, mel)
    }

    fn check_shape(&self, mel: &[f32]) -> Result<(), Error> {
        let (n_frames, n_mels) = (self.n_frames().0, self.n_mels());
        let frames = mel.len() / n_mels;
        let is_short_window =
            self.native().is_some() && frames.is_multiple_of(FRAMES_PER_POSITION) && (1..n_frames).contains(&frames);
        if mel.len() != frames * n_mels || !(is_short_window || frames == n_frames) {
            return Err(Error::WindowShape { found: mel.len(), n_frames, n_mels });
        }
        Ok(())
    }

    /// The language codes of the model, each with the probability that it is spoken in the window. The most probable
    /// language comes first. Empty for English-only models.
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

    /// Creates an empty sequence that attends to `window`.
    ///
    /// # Panics
    /// If another engine encoded the window. The panic occurs here or at the first step.
    pub fn start(&self, window: &EncoderOutput) -> Sequence {
        self.network.start(window)
    }

    /// Appends tokens to a sequence and returns the logits after the final token, `(n_vocab)`.
    ///
    /// # Errors
    /// The errors of [`Self::step_batch`].
    ///
    /// # Panics
    /// In the same cases as [`Self::step_batch`].
    pub fn step(&self, sequence: &mut Sequence, tokens: &[u32]) -> Result<Vec<f32>, Error> {
        self.step_batch(&mut [Step { sequence, tokens }])
    }

    /// Appends tokens to each of several sequences and returns the logits after the final token of each, `(batch,
    /// n_vocab)`. The weights are read once for the whole batch. The logits of a sequence do not depend on the other
    /// sequences in the batch.
    ///
    /// # Errors
    /// If the ONNX runtime cannot run its graphs. The sequences must not be used after that.
    ///
    /// # Panics
    /// If a step has no tokens, a token is not in the vocabulary, or a sequence would exceed [`Self::n_text_ctx`].
    pub fn step_batch(&self, batch: &mut [Step<'_>]) -> Result<Vec<f32>, Error> {
        let mut buffers = self.step_buffers();
        self.step_into(batch, &mut buffers)?;
        Ok(buffers.logits)
    }

    /// The CPU instruction set, thread pool and working memory that this engine uses.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Creates buffers for [`Self::step_into`].
    pub fn step_buffers(&self) -> StepBuffers {
        self.network.buffers()
    }

    /// Does the same as [`Self::step_batch`], but with buffers that are reused from step to step. Afterwards,
    /// `buffers` contains the logits.
    ///
    /// # Errors
    /// The errors of [`Self::step_batch`].
    ///
    /// # Panics
    /// In the same cases as [`Self::step_batch`].
    pub fn step_into(&self, batch: &mut [Step<'_>], buffers: &mut StepBuffers) -> Result<(), Error> {
        self.network.step(&self.context, batch, buffers)
    }

    /// The native networks. `None` for the ONNX runtime.
    pub(crate) fn native(&self) -> Option<&NativeModel> {
        match &self.network {
            Network::Native(native) => Some(native),
            Network::Onnx(_) => None,
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }
}

/// Checks that the dimensions of the model allow decoding. The error is a text that describes the problem.
fn check_dimensions(dimensions: ModelDimensions) -> Result<(), String> {
    let ModelDimensions { n_mels, n_audio_ctx, n_text_ctx, .. } = dimensions;
    if n_audio_ctx == 0 || n_mels == 0 {
        Err("it has no audio positions or no mel bins".to_owned())
    } else if n_text_ctx <= MAX_PROMPT_TOKENS {
        Err(format!("its {n_text_ctx} text positions are too few for a prompt and a transcript"))
    } else {
        Ok(())
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
