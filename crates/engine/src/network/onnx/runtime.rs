//! The encoder and the decoder of an ONNX export.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rten::{RunOptions, ThreadPool};

use super::decoder::Decoder;
use super::files::Files;
use super::graph::{Graph, Port};
use super::tensors::{OnnxCache, OnnxWindow, tensor};
use crate::error::Error;
use crate::model::{Config, FRAMES_PER_POSITION, ModelDimensions};
use crate::network::encoder_output::EncoderOutput;
use crate::network::kv_cache::KvCache;
use crate::network::sequence::Sequence;
use crate::network::step::Step;

pub(crate) struct OnnxModel {
    encoder: Graph,
    /// The input of the encoder, `(1, n_mels, n_frames)`.
    features: Port,
    /// The output of the encoder, `(1, n_audio_ctx, d_model)`.
    states: Port,
    decoder: Decoder,
    dimensions: ModelDimensions,
    /// The options for running the graphs. They contain the thread pool of this model.
    options: RunOptions,
}

impl OnnxModel {
    /// Loads an export. `path` is its directory or one of its files. Also returns the directory of the JSON files of
    /// the export, and the configuration in them.
    pub(crate) fn load(path: &Path, threads: usize) -> Result<(Self, PathBuf, Config), Error> {
        let files = Files::find(path)?;
        let config = Config::read(&files.directory)?;
        let encoder = Graph::load(&files.encoder)?;
        let port = |ports: Vec<Port>, name: &str, kind: &str| {
            let found = ports.iter().find(|port| port.name == name).cloned();
            let names = || ports.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ");
            found.ok_or_else(|| encoder.problem(format!("it has no {kind} `{name}`, only {}", names())))
        };
        let features = port(encoder.inputs(), "input_features", "input")?;
        let states = port(encoder.outputs(), "last_hidden_state", "output")?;
        let decoder = Decoder::load(&files.decoder)?;
        let need = |size: Option<usize>, what: &str| {
            size.ok_or_else(|| Error::Inconsistent {
                directory: files.directory.clone(),
                problem: if config.exists {
                    format!("neither its graphs nor config.json give the number of {what}")
                } else {
                    format!("its graphs do not give the number of {what}, and there is no config.json beside them")
                },
            })
        };
        let n_audio_ctx = features.size(2).map(|frames| frames / FRAMES_PER_POSITION).or(config.n_audio_ctx);
        let dimensions = ModelDimensions {
            n_mels: need(features.size(1).or(config.n_mels), "mel bins")?,
            n_audio_ctx: need(n_audio_ctx, "audio positions")?,
            n_text_ctx: need(config.n_text_ctx, "text positions")?,
            n_vocab: need(decoder.n_vocab().or(config.n_vocab), "tokens")?,
        };
        let pool = Arc::new(ThreadPool::with_num_threads(threads.max(1)));
        let options = RunOptions::default().with_thread_pool(Some(pool));
        Ok((Self { encoder, features, states, decoder, dimensions, options }, files.directory, config))
    }

    pub(crate) fn dimensions(&self) -> ModelDimensions {
        self.dimensions
    }

    /// Approximate memory in bytes for decoding one window: its states, its cross-attention keys and values, and a KV
    /// cache for a quarter of the text positions.
    pub(crate) fn window_bytes(&self) -> usize {
        let ModelDimensions { n_audio_ctx, n_text_ctx, .. } = self.dimensions;
        // Saturate: the sizes in a damaged file may be so large that the product would overflow.
        let keys_and_values = (2 * self.decoder.n_layers()).saturating_mul(n_audio_ctx.saturating_add(n_text_ctx / 4));
        let bytes_per_position = self.decoder.d_model().saturating_mul(size_of::<f32>());
        n_audio_ctx.saturating_add(keys_and_values).saturating_mul(bytes_per_position)
    }

    /// Runs the encoder on a window `(n_frames, n_mels)`.
    pub(crate) fn encode(&self, mel: &[f32]) -> Result<EncoderOutput, Error> {
        let n_mels = self.dimensions.n_mels;
        let n_frames = mel.len() / n_mels;
        let transposed = (0..n_mels).flat_map(|bin| mel.iter().skip(bin).step_by(n_mels).copied()).collect();
        let features = tensor([1, n_mels, n_frames], transposed);
        let states = self.encoder.run(&[(&self.features, &features)], &[&self.states], &self.options)?;
        let states = states.into_iter().next().and_then(|states| states.into_shape_vec::<f32, 3>().ok());
        let (shape, states) = states
            .filter(|(shape, _)| shape[..2] == [1, self.dimensions.n_audio_ctx])
            .ok_or_else(|| self.encoder.problem("its states do not have the shape of Whisper's".to_owned()))?;
        Ok(EncoderOutput::onnx(OnnxWindow { states: tensor(shape, states), cross: OnceLock::new() }))
    }

    /// Creates an empty sequence that attends to `window`.
    #[allow(clippy::unused_self, reason = "only an engine with this runtime may create such sequences")]
    pub(crate) fn start(&self, window: &EncoderOutput) -> Sequence {
        Sequence::new(window, KvCache::Onnx(OnnxCache::default()))
    }

    /// Appends tokens to each sequence, one sequence after the other, and sets `logits` to the logits after the final
    /// token of each, `(batch, n_vocab)`.
    ///
    /// # Panics
    /// If a step has no tokens, or a sequence would exceed the model's text positions.
    pub(crate) fn step(&self, batch: &mut [Step<'_>], logits: &mut Vec<f32>) -> Result<(), Error> {
        logits.clear();
        for Step { sequence, tokens } in batch {
            assert!(!tokens.is_empty(), "a step without tokens");
            assert!(sequence.length + tokens.len() <= self.dimensions.n_text_ctx, "no text position left");
            let mut last_logits = Vec::new();
            let tokens_per_pass = if sequence.is_empty() { tokens.len() } else { 1 };
            for tokens in tokens.chunks(tokens_per_pass) {
                last_logits = self.append(sequence, tokens)?;
            }
            logits.append(&mut last_logits);
        }
        Ok(())
    }

    /// Appends the first tokens to an empty sequence, or one token to another. Returns the logits after the final
    /// token, `(n_vocab)`.
    fn append(&self, sequence: &mut Sequence, tokens: &[u32]) -> Result<Vec<f32>, Error> {
        let length = sequence.length + tokens.len();
        let window = sequence.window.onnx_window();
        let KvCache::Onnx(cache) = &mut sequence.cache else { panic!("a KV cache of another runtime") };
        let cross = window.cross.get().filter(|_| sequence.length > 0);
        let output = if let Some(cross) = cross {
            self.decoder.cached_pass(
                &window.states,
                (cache.0.as_slice(), cross.as_slice()),
                sequence.length,
                tokens,
                &self.options,
            )?
        } else {
            let (output, cross) = self.decoder.first_pass(&window.states, tokens, &self.options)?;
            // If another sequence of this window has set the cross-attention keys and values before, they are the
            // same and are kept.
            window.cross.get_or_init(|| cross);
            output
        };
        *cache = OnnxCache(Arc::new(output.cache));
        sequence.length = length;
        if output.logits.len() != self.dimensions.n_vocab {
            let problem = format!(
                "it returns {} logits, but the model has {} tokens",
                output.logits.len(),
                self.dimensions.n_vocab
            );
            return Err(self.decoder.problem(problem));
        }
        Ok(output.logits)
    }
}
