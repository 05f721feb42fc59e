//! The encoder: a window of log-mel frames in, one state for every two frames out.

use std::sync::{Mutex, PoisonError};

use amanuensis_kernels::attention::SelfAttention;
use amanuensis_kernels::gemm::RowsF32;
use amanuensis_kernels::norm::layer_norm;
use amanuensis_kernels::{Aligned, Context, Isa};

use crate::activations::Activations;
use crate::linear::{Linear, Norm};
use crate::loader::Loader;
use crate::spares::{Lent, Spares};
use crate::{ComputeType, Error};

/// Frames of a spectrogram for each of the encoder's positions.
pub(crate) const FRAMES_PER_POSITION: usize = 2;

/// Frames that a convolution sees at once, here and in every Whisper model.
const KERNEL: usize = 3;

/// Sizes of the encoder, as its tensors have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EncoderSizes {
    pub(crate) n_mels: usize,
    pub(crate) n_audio_ctx: usize,
    pub(crate) d_model: usize,
    pub(crate) heads: usize,
}

pub(crate) struct Encoder {
    sizes: EncoderSizes,
    conv1: Linear,
    conv2: Linear,
    /// `(n_audio_ctx, d_model)`.
    positions: Vec<f32>,
    layers: Vec<Layer>,
    norm: Norm,
    workspace: Mutex<Workspace>,
    results: Spares<Aligned<f32>>,
}

struct Layer {
    attention_norm: Norm,
    qkv: Linear,
    attention_out: Linear,
    ff_norm: Norm,
    fc1: Linear,
    fc2: Linear,
}

/// Buffers kept from window to window: fresh pages for every window would cost milliseconds.
struct Workspace {
    input: Activations,
    hidden: Activations,
    attention: SelfAttention,
    attended: Aligned<f32>,
    /// The input of the first convolution, `(frames + 2, n_mels)`.
    mel: Aligned<f32>,
    /// The input of the second convolution, `(frames + 2, d_model)`.
    wide: Aligned<f32>,
    /// The residual stream, `(n_ctx, d_model)`.
    states: Aligned<f32>,
}

impl Encoder {
    pub(crate) fn load(loader: &Loader<'_>, heads: usize) -> Result<Self, Error> {
        let first = loader.checkpoint.tensor("encoder.conv1.weight")?;
        let positions = loader.checkpoint.tensor("encoder.embed_positions.weight")?;
        let n_mels = first.shape().get(1).copied().unwrap_or(0);
        let (n_audio_ctx, d) = (positions.rows(), positions.row_len());
        let sizes = EncoderSizes { n_mels, n_audio_ctx, d_model: d, heads };
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
            sizes,
            conv1: loader.convolution("encoder.conv1", (d, n_mels, KERNEL))?,
            conv2: loader.convolution("encoder.conv2", (d, d, KERNEL))?,
            positions: loader.values("encoder.embed_positions.weight", &[n_audio_ctx, d])?,
            layers: (0..count_layers(loader, "encoder")).map(layer).collect::<Result<_, Error>>()?,
            norm: loader.norm("encoder.layer_norm", d)?,
            workspace: Mutex::new(Workspace::new(loader.compute_type, loader.context.cpu.isa())),
            results: Spares::default(),
        })
    }

    pub(crate) fn n_layers(&self) -> usize {
        self.layers.len()
    }

    /// Operations of a window, two for each product: the layers' and those of attention.
    pub(crate) fn operations(&self) -> u64 {
        let n_ctx = self.sizes.n_audio_ctx as u64;
        let layer = |layer: &Layer| {
            let linear = [&layer.qkv, &layer.attention_out, &layer.fc1, &layer.fc2];
            linear.iter().map(|linear| linear.work().0).sum::<u64>() * n_ctx
                + 2 * n_ctx * n_ctx * self.sizes.d_model as u64
        };
        let convolutions = 2 * n_ctx * self.conv1.work().0 + n_ctx * self.conv2.work().0;
        2 * (convolutions + self.layers.iter().map(layer).sum::<u64>())
    }

    pub(crate) fn sizes(&self) -> EncoderSizes {
        self.sizes
    }

    /// `mel` is `(2 * n_ctx, n_mels)`, `n_ctx` being at most `n_audio_ctx`; the result is `(n_ctx, d_model)`.
    pub(crate) fn run(&self, context: &Context, mel: &[f32]) -> Lent<Aligned<f32>> {
        let EncoderSizes { n_mels, n_audio_ctx, d_model: d, heads } = self.sizes;
        let n_ctx = mel.len() / n_mels / 2;
        // The buffers hold no state between windows, so one left by a panic is as good as any.
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
        let mut result = self.results.take(Aligned::default);
        result.resize(n_ctx * d);
        layer_norm(context, RowsF32::new(states, d), &self.norm.weight, &self.norm.bias, &mut result);
        result
    }

    /// Both convolutions and the positions. A convolution is a layer over overlapping windows of rows: with a row of
    /// zeros at either end, output `t` reads the rows `stride * t ..  stride * t + 3`.
    fn convolve(&self, context: &Context, mel: &[f32], workspace: &mut Workspace) {
        let EncoderSizes { n_mels, d_model: d, .. } = self.sizes;
        let Workspace { input, mel: padded, wide, states, .. } = workspace;
        let frames = mel.len() / n_mels;
        pad(padded, frames, n_mels).copy_from_slice(mel);
        input.assign(context, RowsF32 { data: padded, stride: n_mels, rows: frames, k: KERNEL * n_mels });
        self.conv1.write(context, input, pad(wide, frames, d));
        input.assign(context, RowsF32 { data: wide, stride: 2 * d, rows: frames / 2, k: KERNEL * d });
        states.assign(&self.positions[..frames / 2 * d]);
        self.conv2.add(context, input, states);
    }
}

/// Makes room for `rows` rows of `k` between two rows of zeros.
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
            attention: compute_type.self_attention(isa),
            attended: Aligned::default(),
            mel: Aligned::default(),
            wide: Aligned::default(),
            states: Aligned::default(),
        }
    }
}

/// The number of layers that a checkpoint holds for `network`: as many as its last one says, so that one in between
/// that is missing is missed.
pub(crate) fn count_layers(loader: &Loader<'_>, network: &str) -> usize {
    let prefix = format!("{network}.layers.");
    let index = |name: &str| name.strip_prefix(&prefix)?.split('.').next()?.parse::<usize>().ok();
    loader.checkpoint.names().filter_map(index).max().map_or(0, |last| last.saturating_add(1))
}
