//! Calls the runtime that a model was loaded with: the native one or ONNX.

use amanuensis_kernels::Context;

use super::encoder_output::EncoderOutput;
use super::native::NativeModel;
use super::onnx::OnnxModel;
use super::sequence::Sequence;
use super::step::{Step, StepBuffers};
use crate::error::Error;
use crate::model::ModelDimensions;
use crate::options::ComputeType;

/// The encoder and decoder of a model, in the runtime that it was loaded with.
pub(crate) enum Network {
    Native(Box<NativeModel>),
    Onnx(Box<OnnxModel>),
}

impl Network {
    pub(crate) fn dimensions(&self) -> ModelDimensions {
        match self {
            Self::Native(native) => native.dimensions(),
            Self::Onnx(onnx) => onnx.dimensions(),
        }
    }

    /// Approximate memory in bytes for decoding one window.
    pub(crate) fn window_bytes(&self) -> usize {
        match self {
            Self::Native(native) => native.window_bytes(),
            Self::Onnx(onnx) => onnx.window_bytes(),
        }
    }

    /// Runs the encoder on a window `(n_frames, n_mels)`. The native decoder will attend only to the first
    /// `visible_frames` frames. The decoder of an ONNX export always attends to the full window.
    pub(crate) fn encode(&self, context: &Context, mel: &[f32], visible_frames: usize) -> Result<EncoderOutput, Error> {
        match self {
            Self::Native(native) => Ok(native.encode(context, mel, visible_frames)),
            Self::Onnx(onnx) => onnx.encode(mel),
        }
    }

    /// The encoder's states of a window, `(n_ctx, d_model)`.
    pub(crate) fn states(&self, context: &Context, mel: &[f32]) -> Result<Vec<f32>, Error> {
        match self {
            Self::Native(native) => Ok(native.states(context, mel)),
            Self::Onnx(onnx) => Ok(onnx.encode(mel)?.onnx_window().states().to_vec()),
        }
    }

    /// Creates an empty sequence that attends to `window`.
    pub(crate) fn start(&self, window: &EncoderOutput) -> Sequence {
        match self {
            Self::Native(native) => native.start(window),
            Self::Onnx(onnx) => onnx.start(window),
        }
    }

    /// Creates buffers for [`Self::step`].
    pub(crate) fn buffers(&self) -> StepBuffers {
        match self {
            Self::Native(native) => native.buffers(),
            // The ONNX runtime allocates its own buffers, so it uses only the logits of these buffers.
            Self::Onnx(_) => StepBuffers::new(ComputeType::F32),
        }
    }

    /// Appends tokens to each sequence and sets `buffers.logits` to the logits after the final token of each,
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
