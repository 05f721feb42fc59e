//! The encoder and decoder networks. Two runtimes implement them: [`native`] and [`onnx`]. The code that uses this
//! module is the same for both.

mod dispatch;
mod encoder_output;
mod kv_cache;
pub(crate) mod native;
mod onnx;
mod sequence;
mod step;
mod window_length;

pub(crate) use self::dispatch::Network;
pub use self::encoder_output::EncoderOutput;
pub(crate) use self::onnx::OnnxModel;
pub use self::sequence::Sequence;
pub use self::step::{Step, StepBuffers};
pub(crate) use self::window_length::{encoded_frames, visible_frames};
