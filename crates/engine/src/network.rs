//! What runs a model's networks: our own arithmetic, or an ONNX runtime. Everything above - prompts, rules, search, long
//! recordings - is the same for both.

use amanuensis_kernels::Context;
use strum::{Display, EnumString, VariantNames};

use crate::native::Native;
use crate::onnx::Onnx;
use crate::sequence::{Sequence, Step, StepBuffers};
use crate::window::EncoderOutput;
use crate::{ComputeType, Error};

/// What runs a model's networks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Runtime {
    /// This crate, whatever format the weights are in. Fast.
    #[default]
    Native,
    /// The graphs of an ONNX export, executed as they are, a window and a token at a time: what others are compared with.
    Onnx,
}

/// Sizes of a model that are the same whatever runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_field_names)] // Those of openai-whisper's `ModelDimensions`.
pub(crate) struct Sizes {
    pub(crate) n_mels: usize,
    pub(crate) n_audio_ctx: usize,
    pub(crate) n_text_ctx: usize,
    pub(crate) n_vocab: usize,
}

/// Encoder and decoder.
pub(crate) enum Network {
    Native(Box<Native>),
    Onnx(Box<Onnx>),
}

impl Network {
    pub(crate) fn sizes(&self) -> Sizes {
        match self {
            Self::Native(native) => native.sizes(),
            Self::Onnx(onnx) => onnx.sizes(),
        }
    }

    /// Bytes that a window takes while it is decoded, about.
    pub(crate) fn window_bytes(&self) -> usize {
        match self {
            Self::Native(native) => native.window_bytes(),
            Self::Onnx(onnx) => onnx.window_bytes(),
        }
    }

    /// Runs the encoder on a window `(n_frames, n_mels)`, of which the decoder is to see the first `seen` frames. Our own takes
    /// shorter windows too; the decoder of an ONNX export sees all of the window.
    pub(crate) fn encode(&self, context: &Context, mel: &[f32], seen: usize) -> Result<EncoderOutput, Error> {
        match self {
            Self::Native(native) => Ok(native.encode(context, mel, seen)),
            Self::Onnx(onnx) => onnx.encode(mel),
        }
    }

    /// The encoder's states of a window, `(n_ctx, d_model)`.
    pub(crate) fn states(&self, context: &Context, mel: &[f32]) -> Result<Vec<f32>, Error> {
        match self {
            Self::Native(native) => Ok(native.states(context, mel)),
            Self::Onnx(onnx) => Ok(onnx.encode(mel)?.of_onnx().states().to_vec()),
        }
    }

    /// An empty sequence that listens to `window`.
    pub(crate) fn start(&self, window: &EncoderOutput) -> Sequence {
        match self {
            Self::Native(native) => native.start(window),
            Self::Onnx(onnx) => onnx.start(window),
        }
    }

    /// Memory for [`Self::step`].
    pub(crate) fn buffers(&self) -> StepBuffers {
        match self {
            Self::Native(native) => native.buffers(),
            Self::Onnx(_) => StepBuffers::new(ComputeType::F32),
        }
    }

    /// Appends tokens to each of several sequences; `buffers.logits` becomes the logits after the last token of each,
    /// `(batch, n_vocab)`.
    pub(crate) fn step(
        &self,
        context: &Context,
        batch: &mut [Step<'_>],
        buffers: &mut StepBuffers,
    ) -> Result<(), Error> {
        match self {
            Self::Native(native) => {
                native.step(context, batch, buffers);
                Ok(())
            }
            Self::Onnx(onnx) => onnx.step(batch, &mut buffers.logits),
        }
    }
}
