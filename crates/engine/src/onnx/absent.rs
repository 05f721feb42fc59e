//! In the place of the ONNX runtime in a build without it: types of which there is never a value.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::config::Config;
use crate::network::Sizes;
use crate::sequence::{Sequence, Step};
use crate::window::EncoderOutput;

pub(crate) enum Onnx {}

#[derive(Debug)]
pub(crate) enum Window {}

#[derive(Debug, Clone)]
pub(crate) enum Past {}

impl Onnx {
    pub(crate) fn load(_path: &Path, _threads: usize) -> Result<(Self, PathBuf, Config), Error> {
        Err(Error::NoOnnx)
    }

    pub(crate) fn sizes(&self) -> Sizes {
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

impl Window {
    pub(crate) fn states(&self) -> &[f32] {
        match *self {}
    }
}

impl Past {
    pub(crate) fn shapes(&self, _window: &Window) -> Vec<(String, Vec<usize>)> {
        match *self {}
    }
}
