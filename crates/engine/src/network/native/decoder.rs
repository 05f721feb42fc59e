//! The decoder. One step appends tokens to any number of sequences and computes the logits after each sequence.
//!
//! Every row (token) of a step is computed independently, so the logits of a sequence do not depend on the other
//! sequences in the batch.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use amanuensis_kernels::Context;
use amanuensis_kernels::attention::{Cache, KeyValues, Past, causal_attention, cross_attention};
use amanuensis_kernels::gemm::{Blocks, Output, RowsF32};

use super::activations::Activations;
use super::layer_norm::LayerNorm;
use super::linear::Linear;
use crate::buffer_pool::{BufferPool, Pooled};
use crate::error::Error;
use crate::model::Loader;
use crate::network::encoder_output::EncoderOutput;
use crate::network::kv_cache::KvCache;
use crate::network::sequence::Sequence;
use crate::network::step::{Step, StepBuffers};
use crate::options::ComputeType;

/// The maximum number of token positions for which an unused KV cache keeps its memory. A few sequences are several
/// times longer than the others. Without this limit, every cache would end up as large as the longest of them.
const MAX_POOLED_POSITIONS: usize = 128;

pub(crate) struct Decoder {
    d_model: usize,
    heads: usize,
    n_text_ctx: usize,
    compute_type: ComputeType,
    /// The position embedding, `(n_text_ctx, d_model)`.
    positions: Vec<f32>,
    layers: Vec<Layer>,
    norm: LayerNorm,
    /// The output projection, `(n_vocab, d_model)`.
    logits: Linear,
    /// A pool of memory for the cross-attention keys and values of windows. Each value in the pool has one element
    /// per layer.
    cross_pool: BufferPool<Vec<KeyValues>>,
    /// The keys and values of a window before they are packed. They are kept only to reuse their memory.
    unpacked: Mutex<Blocks<f32>>,
    /// A pool of memory for the KV caches of sequences. Each value in the pool has one element per layer.
    cache_pool: BufferPool<Vec<Cache>>,
}

struct Layer {
    self_norm: LayerNorm,
    qkv: Linear,
    self_out: Linear,
    cross_norm: LayerNorm,
    cross_q: Linear,
    /// Computes cross-attention keys and values from the encoder's states, once per window.
    cross_kv: Linear,
    cross_out: Linear,
    ff_norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

/// A function that [`Decoder::run`] calls as `hook(layer, queries)` with the cross-attention queries of each layer,
/// `(rows, d_model)`.
pub(crate) type AttentionHook<'a> = dyn FnMut(usize, RowsF32<'_>) + 'a;

impl Decoder {
    pub(crate) fn load(loader: &Loader<'_>, heads: usize) -> Result<Self, Error> {
        let positions = loader.checkpoint.tensor("decoder.embed_positions.weight")?;
        let n_vocab = loader.checkpoint.tensor("decoder.embed_tokens.weight")?.rows();
        let (n_text_ctx, d) = (positions.rows(), positions.row_len());
        let layers = (0..loader.count_layers("decoder")).map(|index| Layer::load(loader, index, d));
        // Most models use the token embedding as the output projection, but some files have a separate one.
        let own_projection = loader.checkpoint.get("proj_out.weight").map(|_| "proj_out.weight");
        Ok(Self {
            d_model: d,
            heads,
            n_text_ctx,
            compute_type: loader.compute_type,
            positions: loader.values("decoder.embed_positions.weight", &[n_text_ctx, d])?,
            layers: layers.collect::<Result<_, Error>>()?,
            norm: loader.norm("decoder.layer_norm", d)?,
            logits: loader.matrix(own_projection.unwrap_or("decoder.embed_tokens.weight"), (n_vocab, d))?,
            cross_pool: BufferPool::default(),
            unpacked: Mutex::default(),
            cache_pool: BufferPool::with_reset(shrink),
        })
    }

    /// Number of bytes of weights that one step of the decoder reads.
    pub(crate) fn weight_bytes(&self) -> u64 {
        let layer = |layer: &Layer| {
            let linear = [&layer.qkv, &layer.self_out, &layer.cross_q, &layer.cross_out, &layer.fc1, &layer.fc2];
            linear.iter().map(|linear| linear.row_cost().weight_bytes).sum::<u64>()
        };
        self.logits.row_cost().weight_bytes + self.layers.iter().map(layer).sum::<u64>()
    }

    /// Size in bytes of a window's cross-attention keys and values, for `n_audio_ctx` positions.
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

    /// Projects the encoder's states `(n_ctx, d_model)` to keys and values for every layer. The memory has room for
    /// `capacity` positions, so that longer windows can reuse it.
    pub(crate) fn cross_key_values(
        &self,
        context: &Context,
        states: &[f32],
        capacity: usize,
    ) -> Pooled<Vec<KeyValues>> {
        let rows = RowsF32::new(states, self.d_model);
        let mut input = Activations::new(self.compute_type);
        input.assign(context, rows);
        // The contents are overwritten before use, so a lock that a panic has poisoned is used as it is.
        let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cross =
            self.cross_pool.take(|| self.layers.iter().map(|_| empty_key_values(self.compute_type)).collect());
        for (layer, key_values) in self.layers.iter().zip(cross.iter_mut()) {
            unpacked.reset(rows.rows, 2 * self.d_model, self.d_model / self.heads);
            layer.cross_kv.run(context, &input, Output::Blocks(&mut unpacked));
            key_values.pack(context, &unpacked, capacity);
        }
        cross
    }

    /// Creates an empty sequence that attends to `window`.
    pub(crate) fn start(&self, window: &EncoderOutput) -> Sequence {
        let caches = self.cache_pool.take(|| self.layers.iter().map(|_| Cache::new(self.d_model)).collect());
        Sequence::new(window, KvCache::Native(caches))
    }

    pub(crate) fn buffers(&self) -> StepBuffers {
        StepBuffers::new(self.compute_type)
    }

    /// Appends tokens to each sequence and sets `buffers.logits` to the logits after the final token of each,
    /// `(batch, n_vocab)`. `embed(token, out)` writes the embedding of a token.
    ///
    /// # Panics
    /// If a step has no tokens, or a sequence would exceed the model's text positions.
    pub(crate) fn step(
        &self,
        context: &Context,
        batch: &mut [Step<'_>],
        embed: &dyn Fn(u32, &mut [f32]),
        buffers: &mut StepBuffers,
    ) {
        self.run(context, batch, embed, buffers, &mut |_, _| {});
        // Logits are needed only after the final token of each sequence, so only these states are kept.
        let d = self.d_model;
        let mut row = 0;
        for (index, step) in batch.iter().enumerate() {
            row += step.tokens.len();
            buffers.states.copy_within((row - 1) * d..row * d, index * d);
        }
        self.project(context, 0..batch.len(), buffers);
    }

    /// Appends tokens to each sequence and sets `buffers.states` to the decoder's states after every token. Calls
    /// `attention_hook` once per layer.
    ///
    /// # Panics
    /// In the same cases as [`Self::step`].
    pub(crate) fn run(
        &self,
        context: &Context,
        batch: &mut [Step<'_>],
        embed: &dyn Fn(u32, &mut [f32]),
        buffers: &mut StepBuffers,
        attention_hook: &mut AttentionHook<'_>,
    ) {
        self.embed(batch, embed, &mut buffers.states);
        let length = buffers.states.len();
        buffers.qkv.resize(3 * length, 0.0);
        buffers.attended.resize(length, 0.0);
        for (index, layer) in self.layers.iter().enumerate() {
            layer.run(context, index, batch, buffers, (self.d_model, self.heads), attention_hook);
        }
        for step in batch {
            step.sequence.length += step.tokens.len();
        }
    }

    /// Sets `buffers.logits` to the logits of the given rows (tokens) of the most recent step, `(rows, n_vocab)`.
    pub(crate) fn project(&self, context: &Context, rows: Range<usize>, buffers: &mut StepBuffers) {
        let d = self.d_model;
        buffers.logits.resize(rows.len() * self.logits.n(), 0.0);
        let states = RowsF32::new(&buffers.states[rows.start * d..rows.end * d], d);
        buffers.input.assign_norm(context, states, &self.norm);
        self.logits.write(context, &buffers.input, &mut buffers.logits);
    }

    /// Sets `states` to the sum of the token embedding and the position embedding of each new token, `(rows,
    /// d_model)`.
    fn embed(&self, batch: &[Step<'_>], embed: &dyn Fn(u32, &mut [f32]), states: &mut Vec<f32>) {
        let d = self.d_model;
        states.resize(batch.iter().map(|step| step.tokens.len()).sum::<usize>() * d, 0.0);
        let mut rows = states.chunks_exact_mut(d);
        for step in batch {
            assert!(!step.tokens.is_empty(), "a step without tokens");
            assert!(step.sequence.length + step.tokens.len() <= self.n_text_ctx, "no text position left");
            let positions = self.positions[step.sequence.length * d..].chunks_exact(d);
            for ((token, position), row) in step.tokens.iter().zip(positions).zip(&mut rows) {
                embed(*token, row);
                row.iter_mut().zip(position).for_each(|(value, position)| *value += position);
            }
        }
    }
}

impl Layer {
    fn load(loader: &Loader<'_>, index: usize, d: usize) -> Result<Self, Error> {
        let name = format!("decoder.layers.{index}");
        let n_ff = loader.checkpoint.tensor(&format!("{name}.fc1.weight"))?.rows();
        let (own, cross) = (format!("{name}.self_attn"), format!("{name}.encoder_attn"));
        Ok(Self {
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
    }

    fn run(
        &self,
        context: &Context,
        index: usize,
        batch: &mut [Step<'_>],
        buffers: &mut StepBuffers,
        (d, heads): (usize, usize),
        attention_hook: &mut AttentionHook<'_>,
    ) {
        let StepBuffers { states, input, hidden, qkv, attended, .. } = buffers;
        input.assign_norm(context, RowsF32::new(states, d), &self.self_norm);
        self.qkv.write(context, input, qkv);
        append(batch, index, qkv, d);
        let queries = RowsF32 { data: qkv, stride: 3 * d, rows: states.len() / d, k: d };
        causal_attention(context, queries, heads, &causal_pasts(batch, index), attended);
        input.assign(context, RowsF32::new(attended, d));
        self.self_out.add(context, input, states);

        input.assign_norm(context, RowsF32::new(states, d), &self.cross_norm);
        let queries = &mut qkv[..states.len()];
        self.cross_q.write(context, input, queries);
        attention_hook(index, RowsF32::new(queries, d));
        cross_attention(context, RowsF32::new(queries, d), &windows(batch, index), attended);
        input.assign(context, RowsF32::new(attended, d));
        self.cross_out.add(context, input, states);

        input.assign_norm(context, RowsF32::new(states, d), &self.ff_norm);
        self.fc1.feed(context, input, hidden);
        self.fc2.add(context, hidden, states);
    }
}

/// Frees part of the memory of a KV cache that has become too long, before the cache returns to its pool.
fn shrink(caches: &mut Vec<Cache>) {
    for cache in caches {
        cache.shrink(MAX_POOLED_POSITIONS);
    }
}

/// Creates empty cross-attention keys and values (for zero encoder positions).
fn empty_key_values(compute_type: ComputeType) -> KeyValues {
    match compute_type {
        ComputeType::Int8 => KeyValues::Int8(Vec::new()),
        ComputeType::F32 => KeyValues::F32(Vec::new()),
    }
}

/// Appends the keys and values of the new tokens to the KV cache of each sequence. In `qkv`, the keys are the columns
/// `d..2 * d`, and the values are the columns from `2 * d` on.
fn append(batch: &mut [Step<'_>], layer: usize, qkv: &[f32], d: usize) {
    let mut rows = qkv.chunks_exact(3 * d);
    for step in batch {
        for (position, row) in (step.sequence.length..).zip(rows.by_ref().take(step.tokens.len())) {
            let (key, value) = row[d..].split_at(d);
            step.sequence.cache.layer_mut(layer).set(position, key, value);
        }
    }
}

/// For each new token, the cached positions that it attends to: its own position and all earlier ones.
fn causal_pasts<'s>(batch: &'s [Step<'_>], layer: usize) -> Vec<Past<'s>> {
    let pasts_of = |step: &'s Step<'_>| {
        let sequence = &*step.sequence;
        (1..=step.tokens.len())
            .map(move |new| Past { cache: sequence.cache.layer(layer), length: sequence.length + new })
    };
    batch.iter().flat_map(pasts_of).collect()
}

/// The cross-attention keys and values for the rows (tokens) of a step, each with the number of consecutive rows that
/// use them. Adjacent sequences of the same window, such as beams, are combined, so that the window's keys and values
/// are read once.
fn windows<'s>(batch: &'s [Step<'_>], layer: usize) -> Vec<(&'s KeyValues, usize)> {
    let same_window = batch.chunk_by(|a, b| a.sequence.window.is_same_as(&b.sequence.window));
    let count = |steps: &[Step<'_>]| steps.iter().map(|step| step.tokens.len()).sum();
    same_window.map(|steps| (&steps[0].sequence.window.cross()[layer], count(steps))).collect()
}
