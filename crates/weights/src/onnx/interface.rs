//! Inputs and outputs of an ONNX graph.

use std::path::Path;

use super::model::{GraphValue, Model};
use crate::Error;
use crate::mmap::MappedFile;

/// The inputs and outputs of an ONNX graph, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The name of the file that contains the graph.
    pub file: String,
    /// The graph's inputs.
    pub inputs: Vec<GraphValue>,
    /// The graph's outputs.
    pub outputs: Vec<GraphValue>,
}

impl Interface {
    /// Reads the interface of any ONNX file.
    ///
    /// # Errors
    /// If the file does not exist or is not an ONNX file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = MappedFile::open(path)?;
        if !probe(file.bytes()) {
            return Err(file.malformed("it does not begin as an ONNX file does"));
        }
        Ok(Self::of(&file, Model::read(&file)?))
    }

    pub(super) fn of(file: &MappedFile, model: Model) -> Self {
        Self { file: file_name(file), inputs: model.graph.inputs, outputs: model.graph.outputs }
    }
}

/// Whether the bytes begin like an ONNX model: with field 1 (the version of the format), followed by another known
/// field.
pub(super) fn probe(bytes: &[u8]) -> bool {
    matches!(bytes, [0x08, 1..=63, tag, ..] if matches!(tag >> 3, 2..=8 | 14) && matches!(tag & 7, 0 | 2))
}

pub(super) fn file_name(file: &MappedFile) -> String {
    file.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
}
