//! The encoder: turns the log-mel frames of a window into states, one for every two frames.

use std::sync::{Mutex, PoisonError};

use amanuensis_kernels::attention::SelfAttention;
use amanuensis_kernels::gemm::RowsF32;
use amanuensis_kernels::norm::layer_norm;
use amanuensis_kernels::{Aligned, Context, Isa};

use super::activations::Activations;
use super::layer_norm::LayerNorm;
use super::linear::Linear;
use crate::buffer_pool::{BufferPool, Pooled};
use crate::error::Error;
use crate::model::{FRAMES_PER_POSITION, Loader};
use crate::options::ComputeType;

/// The width of the convolution kernels in frames. It is the same in every Whisper model.
const KERNEL: usize = 3;

/// Dimensions of the encoder, taken from the shapes of its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EncoderDimensions {
    pub(crate) n_mels: usize,
    pub(crate) n_audio_ctx: usize,
    pub(crate) d_model: usize,
    pub(crate) heads: usize,
}

pub(crate) struct Encoder {
    dimensions: EncoderDimensions,
    conv1: Linear,
    conv2: Linear,
    /// The position embedding, `(n_audio_ctx, d_model)`.
    positions: Vec<f32>,
    layers: Vec<Layer>,
    norm: LayerNorm,
    workspace: Mutex<Workspace>,
    outputs: BufferPool<Aligned<f32>>,
}

struct Layer {
    attention_norm: LayerNorm,
    qkv: Linear,
    attention_out: Linear,
    ff_norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

/// Buffers that are reused from window to window. Newly allocated memory would take milliseconds for page faults.
struct Workspace {
    input: Activations,
    hidden: Activations,
    attention: SelfAttention,
    attended: Aligned<f32>,
    /// The input of the first convolution, `(frames + 2, n_mels)`.
    mel: Aligned<f32>,
    /// The input of the second convolution, `(frames + 2, d_model)`.
    conv1_out: Aligned<f32>,
    /// The sum of the outputs of all layers so far (the residual stream), `(n_ctx, d_model)`.
    states: Aligned<f32>,
}

impl Encoder {
    pub(crate) fn load(loader: &Loader<'_>, heads: usize) -> Result<Self, Error> {
        let first = loader.checkpoint.tensor("encoder.conv1.weight")?;
        let positions = loader.checkpoint.tensor("encoder.embed_positions.weight")?;
        let n_mels = first.shape().get(1).copied().unwrap_or(0);
        let (n_audio_ctx, d) = (positions.rows(), positions.row_len());
        let dimensions = EncoderDimensions { n_mels, n_audio_ctx, d_model: d, heads };
        let layer = |index: usize| {
            let name = format!("encoder.layers.{index}");
            let n_ff = loader.checkpoint.tensor(&format!("{name}.fc1.weight"))?.rows();
            let own = format!("{name}.self_attn");
            let (attention_norm, qkv) =
                loader.norm_linear(&format!("{own}_layer_norm"), &own, &["q_proj", "k_proj", "v_proj"], (d, d))?;
            let (ff_norm, fc1) = loader.norm_linear(&format!("{name}.final_layer_norm"), &name, &["fc1"], (n_ff, d))?;
            Ok(Layer {
                attention_norm,
                qkv,
                attention_out: loader.linear(&own, &["out_proj"], (d, d))?,
                ff_norm,
                fc1: fc1.with_gelu(),
                fc2: loader.linear(&name, &["fc2"], (d, n_ff))?,
            })
        };
        Ok(Self {
            dimensions,
            conv1: loader.convolution("encoder.conv1", (d, n_mels, KERNEL))?,
            conv2: loader.convolution("encoder.conv2", (d, d, KERNEL))?,
            positions: loader.values("encoder.embed_positions.weight", &[n_audio_ctx, d])?,
            layers: (0..loader.count_layers("encoder")).map(layer).collect::<Result<_, Error>>()?,
            norm: loader.norm("encoder.layer_norm", d)?,
            workspace: Mutex::new(Workspace::new(loader.compute_type, loader.context.cpu.isa())),
            outputs: BufferPool::default(),
        })
    }

    pub(crate) fn n_layers(&self) -> usize {
        self.layers.len()
    }

    /// Number of operations for encoding a full window, including attention. A multiplication and an addition count
    /// as two operations.
    pub(crate) fn operations(&self) -> u64 {
        let n_ctx = self.dimensions.n_audio_ctx as u64;
        let layer = |layer: &Layer| {
            let linear = [&layer.qkv, &layer.attention_out, &layer.fc1, &layer.fc2];
            linear.iter().map(|linear| linear.row_cost().multiplications).sum::<u64>() * n_ctx
                + 2 * n_ctx * n_ctx * self.dimensions.d_model as u64
        };
        let convolutions =
            2 * n_ctx * self.conv1.row_cost().multiplications + n_ctx * self.conv2.row_cost().multiplications;
        2 * (convolutions + self.layers.iter().map(layer).sum::<u64>())
    }

    pub(crate) fn dimensions(&self) -> EncoderDimensions {
        self.dimensions
    }

    /// Encodes `mel`, which has the shape `(2 * n_ctx, n_mels)`, where `n_ctx` is at most `n_audio_ctx`. The result
    /// is the encoder's states, `(n_ctx, d_model)`.
    pub(crate) fn run(&self, context: &Context, mel: &[f32]) -> Pooled<Aligned<f32>> {
        let EncoderDimensions { n_mels, n_audio_ctx, d_model: d, heads } = self.dimensions;
        let n_ctx = mel.len() / n_mels / FRAMES_PER_POSITION;
        // No run depends on what an earlier run left in the buffers, so a lock that a panic has poisoned is used as
        // it is.
        let mut workspace = self.workspace.lock().unwrap_or_else(PoisonError::into_inner);
        self.convolve(context, mel, &mut workspace);
        let Workspace { input, hidden, attention, attended, states, .. } = &mut *workspace;
        attended.resize(n_ctx * d);
        for layer in &self.layers {
            input.assign_norm(context, RowsF32::new(states, d), &layer.attention_norm);
            layer.qkv.run(context, input, attention.input(n_ctx, d, d / heads));
            attention.run(context, n_audio_ctx, attended);
            input.assign(context, RowsF32::new(attended, d));
            layer.attention_out.add(context, input, states);
            input.assign_norm(context, RowsF32::new(states, d), &layer.ff_norm);
            layer.fc1.feed(context, input, hidden);
            layer.fc2.add(context, hidden, states);
        }
        let mut output = self.outputs.take(Aligned::default);
        output.resize(n_ctx * d);
        layer_norm(context, RowsF32::new(states, d), &self.norm.weight, &self.norm.bias, &mut output);
        output
    }

    /// Computes both convolutions and adds the position embedding. A convolution is a linear layer over overlapping groups
    /// of rows: with a row of zeros at either end, output `t` reads the rows `stride * t .. stride * t + 3`.
    fn convolve(&self, context: &Context, mel: &[f32], workspace: &mut Workspace) {
        let EncoderDimensions { n_mels, d_model: d, .. } = self.dimensions;
        let Workspace { input, mel: padded, conv1_out, states, .. } = workspace;
        let frames = mel.len() / n_mels;
        pad(padded, frames, n_mels).copy_from_slice(mel);
        input.assign(context, RowsF32 { data: padded, stride: n_mels, rows: frames, k: KERNEL * n_mels });
        self.conv1.write(context, input, pad(conv1_out, frames, d));
        input.assign(context, RowsF32 { data: conv1_out, stride: 2 * d, rows: frames / 2, k: KERNEL * d });
        states.assign(&self.positions[..frames / 2 * d]);
        self.conv2.add(context, input, states);
    }
}

/// Resizes `buffer` to `rows` rows of `k` values, with a row of zeros before and after them. Returns the rows without
/// the zeros.
fn pad(buffer: &mut Aligned<f32>, rows: usize, k: usize) -> &mut [f32] {
    buffer.resize((rows + 2) * k);
    let (first, rest) = buffer.split_at_mut(k);
    let (rows, last) = rest.split_at_mut(rows * k);
    first.fill(0.0);
    last.fill(0.0);
    rows
}

impl Workspace {
    fn new(compute_type: ComputeType, isa: Isa) -> Self {
        Self {
            input: Activations::new(compute_type),
            hidden: Activations::new(compute_type),
            attention: self_attention(compute_type, isa),
            attended: Aligned::default(),
            mel: Aligned::default(),
            conv1_out: Aligned::default(),
            states: Aligned::default(),
        }
    }
}

/// The kind of self-attention for the encoder, in the number format that is best for the instruction set `isa`.
fn self_attention(compute_type: ComputeType, isa: Isa) -> SelfAttention {
    match compute_type {
        // On AMX, attention in bf16 is as fast as in int8, because the softmax weights of bf16 take fewer
        // instructions. It is also more accurate.
        ComputeType::Int8 if isa == Isa::Amx => SelfAttention::bf16(),
        ComputeType::Int8 => SelfAttention::int8(),
        ComputeType::F32 => SelfAttention::f32(),
    }
}
