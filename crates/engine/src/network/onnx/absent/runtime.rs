//! Replaces the ONNX runtime in a build without the cargo feature `onnx`. Loading always fails, so no value of the
//! type is ever created.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::model::{Config, ModelDimensions};
use crate::network::encoder_output::EncoderOutput;
use crate::network::sequence::Sequence;
use crate::network::step::Step;

pub(crate) enum OnnxModel {}

impl OnnxModel {
    pub(crate) fn load(_path: &Path, _threads: usize) -> Result<(Self, PathBuf, Config), Error> {
        Err(Error::NoOnnx)
    }

    pub(crate) fn dimensions(&self) -> ModelDimensions {
        match *self {}
    }

    pub(crate) fn window_bytes(&self) -> usize {
        match *self {}
    }

    pub(crate) fn encode(&self, _mel: &[f32]) -> Result<EncoderOutput, Error> {
        match *self {}
    }

    pub(crate) fn start(&self, _window: &EncoderOutput) -> Sequence {
        match *self {}
    }

    pub(crate) fn step(&self, _batch: &mut [Step<'_>], _logits: &mut Vec<f32>) -> Result<(), Error> {
        match *self {}
    }
}
