//! The decoder: one step takes the next tokens of any number of sequences and gives the logits after each.
//!
//! Every row of a step is computed by itself, so a sequence gets the same logits alone as in company.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use amanuensis_kernels::Context;
use amanuensis_kernels::attention::{Cache, KeyValues, Past, causal_attention, cross_attention};
use amanuensis_kernels::gemm::{Blocks, Output, RowsF32};

use crate::activations::Activations;
use crate::encoder::count_layers;
use crate::linear::{Linear, Norm};
use crate::loader::Loader;
use crate::sequence::{Memory, Sequence, Step, StepBuffers};
use crate::spares::{Lent, Spares};
use crate::window::EncoderOutput;
use crate::{ComputeType, Error};

/// Positions that a text which has ended keeps room for. A few texts are several times longer than the others; in the end all
/// would have the room of the longest.
const KEPT: usize = 128;

pub(crate) struct Decoder {
    d_model: usize,
    heads: usize,
    n_text_ctx: usize,
    compute_type: ComputeType,
    /// `(n_text_ctx, d_model)`.
    positions: Vec<f32>,
    layers: Vec<Layer>,
    norm: Norm,
    /// The output projection, `(n_vocab, d_model)`.
    logits: Linear,
    /// Keys and values of windows and of sequences, a layer each.
    windows: Spares<Vec<KeyValues>>,
    /// Keys and values of a window on their way to be packed, kept for their memory.
    projected: Mutex<Blocks<f32>>,
    sequences: Spares<Vec<Cache>>,
}

struct Layer {
    self_norm: Norm,
    qkv: Linear,
    self_out: Linear,
    cross_norm: Norm,
    cross_q: Linear,
    /// Keys and values of the encoder's states, computed once a window.
    cross_kv: Linear,
    cross_out: Linear,
    ff_norm: Norm,
    fc1: Linear,
    fc2: Linear,
}

/// `listen(layer, queries)`.
pub(crate) type Listen<'a> = dyn FnMut(usize, RowsF32<'_>) + 'a;

impl Decoder {
    pub(crate) fn load(loader: &Loader<'_>, heads: usize) -> Result<Self, Error> {
        let positions = loader.checkpoint.tensor("decoder.embed_positions.weight")?;
        let n_vocab = loader.checkpoint.tensor("decoder.embed_tokens.weight")?.rows();
        let (n_text_ctx, d) = (positions.rows(), positions.row_len());
        let layer = |index: usize| {
            let name = format!("decoder.layers.{index}");
            let n_ff = loader.checkpoint.tensor(&format!("{name}.fc1.weight"))?.rows();
            let (own, cross) = (format!("{name}.self_attn"), format!("{name}.encoder_attn"));
            Ok(Layer {
                self_norm: loader.norm(&format!("{own}_layer_norm"), d)?,
                qkv: loader.linear(&own, &["q_proj", "k_proj", "v_proj"], (d, d))?,
                self_out: loader.linear(&own, &["out_proj"], (d, d))?,
                cross_norm: loader.norm(&format!("{cross}_layer_norm"), d)?,
                cross_q: loader.linear(&cross, &["q_proj"], (d, d))?,
                cross_kv: loader.linear(&cross, &["k_proj", "v_proj"], (d, d))?,
                cross_out: loader.linear(&cross, &["out_proj"], (d, d))?,
                ff_norm: loader.norm(&format!("{name}.final_layer_norm"), d)?,
                fc1: loader.linear(&name, &["fc1"], (n_ff, d))?.with_gelu(),
                fc2: loader.linear(&name, &["fc2"], (d, n_ff))?,
            })
        };
        let own_projection = loader.checkpoint.get("proj_out.weight").map(|_| "proj_out.weight");
        Ok(Self {
            d_model: d,
            heads,
            n_text_ctx,
            compute_type: loader.compute_type,
            positions: loader.values("decoder.embed_positions.weight", &[n_text_ctx, d])?,
            layers: (0..count_layers(loader, "decoder")).map(layer).collect::<Result<_, Error>>()?,
            norm: loader.norm("decoder.layer_norm", d)?,
            logits: loader.matrix(own_projection.unwrap_or("decoder.embed_tokens.weight"), (n_vocab, d))?,
            windows: Spares::default(),
            projected: Mutex::default(),
            sequences: Spares::tidied(|caches| caches.iter_mut().for_each(|cache| cache.shrink(KEPT))),
        })
    }

    /// Bytes of weights that a step reads.
    pub(crate) fn weight_bytes(&self) -> u64 {
        let layer = |layer: &Layer| {
            let linear = [&layer.qkv, &layer.self_out, &layer.cross_q, &layer.cross_out, &layer.fc1, &layer.fc2];
            linear.iter().map(|linear| linear.work().1).sum::<u64>()
        };
        self.logits.work().1 + self.layers.iter().map(layer).sum::<u64>()
    }

    /// Bytes of a window's keys and values, `n_audio_ctx` positions in every layer.
    pub(crate) fn cross_bytes(&self, n_audio_ctx: usize) -> usize {
        let element = if self.compute_type == ComputeType::Int8 { 1 } else { size_of::<f32>() };
        2 * self.layers.len() * n_audio_ctx * self.d_model * element
    }

    pub(crate) fn compute_type(&self) -> ComputeType {
        self.compute_type
    }

    pub(crate) fn n_layers(&self) -> usize {
        self.layers.len()
    }

    pub(crate) fn n_heads(&self) -> usize {
        self.heads
    }

    pub(crate) fn d_model(&self) -> usize {
        self.d_model
    }

    pub(crate) fn n_text_ctx(&self) -> usize {
        self.n_text_ctx
    }

    pub(crate) fn n_vocab(&self) -> usize {
        self.logits.n()
    }

    /// Keys and values of a window's states `(n_ctx, d_model)` for every layer and head, in memory for `room` positions.
    pub(crate) fn cross_key_values(&self, context: &Context, states: &[f32], room: usize) -> Lent<Vec<KeyValues>> {
        let rows = RowsF32::new(states, self.d_model);
        let mut input = Activations::new(self.compute_type);
        input.assign(context, rows);
        let mut kv = self.projected.lock().unwrap_or_else(PoisonError::into_inner);
        let mut window =
            self.windows.take(|| self.layers.iter().map(|_| self.compute_type.cross_key_values()).collect());
        for (layer, key_values) in self.layers.iter().zip(window.iter_mut()) {
            kv.reset(rows.rows, 2 * self.d_model, self.d_model / self.heads);
            layer.cross_kv.run(context, &input, Output::Blocks(&mut kv));
            key_values.pack(context, &kv, room);
        }
        window
    }

    /// An empty sequence that listens to `window`.
    pub(crate) fn start(&self, window: &EncoderOutput) -> Sequence {
        let cache = self.sequences.take(|| self.layers.iter().map(|_| Cache::new(self.d_model)).collect());
        Sequence::new(window, Memory::Native(cache))
    }

    pub(crate) fn buffers(&self) -> StepBuffers {
        StepBuffers::new(self.compute_type)
    }

    /// Appends tokens to each sequence; `buffers.logits` becomes the logits after the last token of each,
    /// `(batch, n_vocab)`. `embed(token, out)` writes the embedding of a token.
    ///
    /// # Panics
    /// If a sequence would grow beyond the model's positions, or has no tokens.
    pub(crate) fn step(
        &self,
        context: &Context,
        batch: &mut [Step<'_>],
        embed: &dyn Fn(u32, &mut [f32]),
        buffers: &mut StepBuffers,
    ) {
        self.run(context, batch, embed, buffers, &mut |_, _| {});
        // Only the last row of each sequence is asked for.
        let d = self.d_model;
        let mut row = 0;
        for (index, step) in batch.iter().enumerate() {
            row += step.tokens.len();
            buffers.states.copy_within((row - 1) * d..row * d, index * d);
        }
        self.project(context, 0..batch.len(), buffers);
    }

    /// Appends tokens to each sequence; `buffers` then holds the states after every token. `listen(layer, queries)` is
    /// told with what the rows look up their windows, `(rows, d_model)`.
    ///
    /// # Panics
    /// As [`Self::step`].
    pub(crate) fn run(
        &self,
        context: &Context,
        batch: &mut [Step<'_>],
        embed: &dyn Fn(u32, &mut [f32]),
        buffers: &mut StepBuffers,
        listen: &mut Listen<'_>,
    ) {
        self.embed(batch, embed, &mut buffers.states);
        let length = buffers.states.len();
        buffers.qkv.resize(3 * length, 0.0);
        buffers.attended.resize(length, 0.0);
        for (index, layer) in self.layers.iter().enumerate() {
            layer.run(context, index, batch, buffers, (self.d_model, self.heads), listen);
        }
        for step in batch {
            step.sequence.length += step.tokens.len();
        }
    }

    /// `buffers.logits` becomes the logits after these rows of the last step, `(rows, n_vocab)`.
    pub(crate) fn project(&self, context: &Context, rows: Range<usize>, buffers: &mut StepBuffers) {
        let d = self.d_model;
        buffers.logits.resize(rows.len() * self.logits.n(), 0.0);
        let states = RowsF32::new(&buffers.states[rows.start * d..rows.end * d], d);
        buffers.input.assign_norm(context, states, &self.norm);
        self.logits.write(context, &buffers.input, &mut buffers.logits);
    }

    /// Token embeddings plus positions, `(rows, d_model)`.
    fn embed(&self, batch: &[Step<'_>], embed: &dyn Fn(u32, &mut [f32]), states: &mut Vec<f32>) {
        let d = self.d_model;
        states.resize(batch.iter().map(|step| step.tokens.len()).sum::<usize>() * d, 0.0);
        let mut rows = states.chunks_exact_mut(d);
        for step in batch {
            assert!(!step.tokens.is_empty() && step.sequence.length + step.tokens.len() <= self.n_text_ctx, "no room");
            let positions = self.positions[step.sequence.length * d..].chunks_exact(d);
            for ((token, position), row) in step.tokens.iter().zip(positions).zip(&mut rows) {
                embed(*token, row);
                row.iter_mut().zip(position).for_each(|(value, position)| *value += position);
            }
        }
    }
}

impl Layer {
    fn run(
        &self,
        context: &Context,
        index: usize,
        batch: &mut [Step<'_>],
        buffers: &mut StepBuffers,
        (d, heads): (usize, usize),
        listen: &mut Listen<'_>,
    ) {
        let StepBuffers { states, input, hidden, qkv, attended, .. } = buffers;
        input.assign_norm(context, RowsF32::new(states, d), &self.self_norm);
        self.qkv.write(context, input, qkv);
        remember(batch, index, qkv, d);
        let queries = RowsF32 { data: qkv, stride: 3 * d, rows: states.len() / d, k: d };
        causal_attention(context, queries, heads, &pasts(batch, index), attended);
        input.assign(context, RowsF32::new(attended, d));
        self.self_out.add(context, input, states);

        input.assign_norm(context, RowsF32::new(states, d), &self.cross_norm);
        let queries = &mut qkv[..states.len()];
        self.cross_q.write(context, input, queries);
        listen(index, RowsF32::new(queries, d));
        cross_attention(context, RowsF32::new(queries, d), &windows(batch, index), attended);
        input.assign(context, RowsF32::new(attended, d));
        self.cross_out.add(context, input, states);

        input.assign_norm(context, RowsF32::new(states, d), &self.ff_norm);
        self.fc1.feed(context, input, hidden);
        self.fc2.add(context, hidden, states);
    }
}

/// Puts the keys and values of the new tokens, columns `d..` and `2 * d..` of `qkv`, into the cache of each sequence.
fn remember(batch: &mut [Step<'_>], layer: usize, qkv: &[f32], d: usize) {
    let mut rows = qkv.chunks_exact(3 * d);
    for step in batch {
        for (position, row) in (step.sequence.length..).zip(rows.by_ref().take(step.tokens.len())) {
            let (key, value) = row[d..].split_at(d);
            step.sequence.cache_mut(layer).set(position, key, value);
        }
    }
}

/// A token attends to itself and to what came before it.
fn pasts<'s>(batch: &'s [Step<'_>], layer: usize) -> Vec<Past<'s>> {
    let row = |step: &'s Step<'_>| {
        let sequence = &*step.sequence;
        (1..=step.tokens.len()).map(move |new| Past { cache: sequence.cache(layer), length: sequence.length + new })
    };
    batch.iter().flat_map(row).collect()
}

/// Every token attends to the whole window. Texts of one window that lie side by side look it up together.
fn windows<'s>(batch: &'s [Step<'_>], layer: usize) -> Vec<(&'s KeyValues, usize)> {
    let of_one_window = batch.chunk_by(|a, b| a.sequence.window.is_same_as(&b.sequence.window));
    let count = |steps: &[Step<'_>]| steps.iter().map(|step| step.tokens.len()).sum();
    of_one_window.map(|steps| (&steps[0].sequence.window.cross()[layer], count(steps))).collect()
}
