//! The graphs of an ONNX export (as Hugging Face's `optimum` writes them), executed as they are by `rten`.
//!
//! Inputs and outputs are bound by name, never by position: a first pass gives the caches of text and window by turns, layer
//! for layer, a later one those of the text alone. The keys and values of a window come from the first pass that listens to
//! it and stay; those of a text come out with the past already in front of what is new, and are handed in again as they are.
//!
//! A sequence is decoded by itself, and token by token once it has begun: graphs are traced with one token behind a past, and
//! have no causal mask for more.

mod decoder;
mod files;
mod graph;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rten::{RunOptions, ThreadPool, Value};
use rten_tensor::Layout;

use self::decoder::Decoder;
use self::files::Files;
use self::graph::{Graph, Port};
use crate::Error;
use crate::config::Config;
use crate::network::Sizes;
use crate::sequence::{Memory, Sequence, Step};
use crate::window::EncoderOutput;

pub(crate) struct Onnx {
    encoder: Graph,
    features: Port,
    states: Port,
    decoder: Decoder,
    sizes: Sizes,
    /// Its own threads.
    options: RunOptions,
}

/// What the encoder made of a window.
#[derive(Debug)]
pub(crate) struct Window {
    /// `(1, n_audio_ctx, d_model)`.
    states: Value,
    /// `(1, heads, n_audio_ctx, width)`, the keys and the values of a layer each: what the first pass of the first text gave.
    cross: OnceLock<Vec<Value>>,
}

/// Keys and values of a text so far, `(1, heads, n_tokens, width)`, the keys and the values of a layer each. They do not
/// change any more, so texts that branch off share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past(Arc<Vec<Value>>);

impl Onnx {
    /// Loads the export in a directory, or the one that a file belongs to; also gives the directory of its JSON files.
    pub(crate) fn load(path: &Path, threads: usize) -> Result<(Self, PathBuf, Config), Error> {
        let files = Files::find(path)?;
        let config = Config::read(&files.directory)?;
        let encoder = Graph::load(&files.encoder)?;
        let port = |ports: Vec<Port>, name: &str, kind: &str| {
            let found = ports.iter().find(|port| port.name == name).cloned();
            let names = || ports.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ");
            found.ok_or_else(|| encoder.problem(format!("it has no {kind} `{name}`, but {}", names())))
        };
        let features = port(encoder.inputs(), "input_features", "input")?;
        let states = port(encoder.outputs(), "last_hidden_state", "output")?;
        let decoder = Decoder::load(&files.decoder)?;
        let need = |size: Option<usize>, what: &str| {
            size.ok_or_else(|| Error::Inconsistent {
                directory: files.directory.clone(),
                problem: if config.is_given {
                    format!("neither its graphs nor config.json say how many {what} it has")
                } else {
                    format!("its graphs do not say how many {what} it has, and there is no config.json beside them")
                },
            })
        };
        // A window has two frames for every position of the encoder.
        let n_audio_ctx = features.size(2).map(|frames| frames / 2).or(config.n_audio_ctx);
        let sizes = Sizes {
            n_mels: need(features.size(1).or(config.n_mels), "mel bins")?,
            n_audio_ctx: need(n_audio_ctx, "window positions")?,
            n_text_ctx: need(config.n_text_ctx, "text positions")?,
            n_vocab: need(decoder.n_vocab().or(config.n_vocab), "tokens")?,
        };
        let pool = Arc::new(ThreadPool::with_num_threads(threads.max(1)));
        let options = RunOptions::default().with_thread_pool(Some(pool));
        Ok((Self { encoder, features, states, decoder, sizes, options }, files.directory, config))
    }

    pub(crate) fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// A window's states and keys and values, and those of its text for a quarter of the positions that there can be.
    pub(crate) fn window_bytes(&self) -> usize {
        let Sizes { n_audio_ctx, n_text_ctx, .. } = self.sizes;
        // Files may claim any sizes.
        let keys_and_values = (2 * self.decoder.n_layers()).saturating_mul(n_audio_ctx.saturating_add(n_text_ctx / 4));
        let bytes = self.decoder.d_model().saturating_mul(size_of::<f32>());
        n_audio_ctx.saturating_add(keys_and_values).saturating_mul(bytes)
    }

    /// Runs the encoder on a window `(n_frames, n_mels)`.
    pub(crate) fn encode(&self, mel: &[f32]) -> Result<EncoderOutput, Error> {
        let n_mels = self.sizes.n_mels;
        let n_frames = mel.len() / n_mels;
        let bins = (0..n_mels).flat_map(|bin| mel.iter().skip(bin).step_by(n_mels).copied()).collect();
        let features = tensor([1, n_mels, n_frames], bins);
        let states = self.encoder.run(&[(&self.features, &features)], &[&self.states], &self.options)?;
        let states = states.into_iter().next().and_then(|states| states.into_shape_vec::<f32, 3>().ok());
        let (shape, states) = states
            .filter(|(shape, _)| shape[..2] == [1, self.sizes.n_audio_ctx])
            .ok_or_else(|| self.encoder.problem("its states have another shape than Whisper's".to_owned()))?;
        Ok(EncoderOutput::onnx(Window { states: tensor(shape, states), cross: OnceLock::new() }))
    }

    /// An empty sequence that listens to `window`.
    #[allow(clippy::unused_self)] // Only an engine with this runtime begins such sequences.
    pub(crate) fn start(&self, window: &EncoderOutput) -> Sequence {
        Sequence::new(window, Memory::Onnx(Past::default()))
    }

    /// Appends tokens to each of several sequences, one after the other; `logits` become those after the last token of each.
    ///
    /// # Panics
    /// If a sequence would grow beyond the model's positions, or has no tokens.
    pub(crate) fn step(&self, batch: &mut [Step<'_>], logits: &mut Vec<f32>) -> Result<(), Error> {
        logits.clear();
        for Step { sequence, tokens } in batch {
            assert!(!tokens.is_empty() && sequence.length + tokens.len() <= self.sizes.n_text_ctx, "no room");
            let mut after = Vec::new();
            let at_once = if sequence.is_empty() { tokens.len() } else { 1 };
            for tokens in tokens.chunks(at_once) {
                after = self.append(sequence, tokens)?;
            }
            logits.append(&mut after);
        }
        Ok(())
    }

    /// The first tokens of a text, or one more: the logits after the last of them.
    fn append(&self, sequence: &mut Sequence, tokens: &[u32]) -> Result<Vec<f32>, Error> {
        let length = sequence.length + tokens.len();
        let window = sequence.window.of_onnx();
        let Memory::Onnx(past) = &mut sequence.memory else { panic!("a sequence of another engine") };
        let cross = window.cross.get().filter(|_| sequence.length > 0);
        let outcome = if let Some(cross) = cross {
            self.decoder.cached(&window.states, &past.0, cross, sequence.length, tokens, &self.options)?
        } else {
            let (outcome, cross) = self.decoder.first(&window.states, tokens, &self.options)?;
            // Another text may have been the first to listen to this window: what it was given is the same.
            window.cross.get_or_init(|| cross);
            outcome
        };
        *past = Past(Arc::new(outcome.past));
        sequence.length = length;
        if outcome.logits.len() != self.sizes.n_vocab {
            let problem = format!("{} logits, where the model has {} tokens", outcome.logits.len(), self.sizes.n_vocab);
            return Err(self.decoder.problem(problem));
        }
        Ok(outcome.logits)
    }
}

impl Window {
    pub(crate) fn states(&self) -> &[f32] {
        // `encode` made the tensor of a vector.
        self.states.as_tensor_view().and_then(|view| view.data()).expect("states are contiguous")
    }
}

impl Past {
    /// Name and shape of each cache, the window's behind the text's.
    pub(crate) fn shapes(&self, window: &Window) -> Vec<(String, Vec<usize>)> {
        let cross = window.cross.get().map(Vec::as_slice).unwrap_or_default();
        let pairs = self.0.chunks(2).zip(cross.chunks(2)).enumerate();
        let named = pairs.flat_map(|(layer, (own, cross))| {
            let names = ["decoder.key", "decoder.value", "encoder.key", "encoder.value"];
            let values = own.iter().chain(cross);
            names.into_iter().zip(values).map(move |(name, value)| (format!("{layer}.{name}"), value.shape().to_vec()))
        });
        named.collect()
    }
}

/// A tensor of as many values as its shape says.
fn tensor<T, const N: usize>(shape: [usize; N], values: Vec<T>) -> Value
where
    Value: From<rten_tensor::Tensor<T>>,
{
    rten_tensor::Tensor::from_data(shape.as_slice(), values).into()
}
