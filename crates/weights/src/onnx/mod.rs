//! Exports to ONNX, as Hugging Face's tools make them: `encoder_model.onnx` and `decoder_model.onnx` or
//! `decoder_model_merged.onnx`, in a directory or in its `onnx` folder; float32, float16 or quantised.
//!
//! Only the weights are taken from the graphs, and what they are used for tells which is which ([`find`]).

mod find;
mod model;
mod names;
mod storage;
mod wire;

use std::path::Path;

pub use model::{Dimension, GraphValue};

use self::model::Model;
use self::names::Network;
use self::storage::Storage;
use crate::Error;
use crate::format::{Contents, Format};
use crate::mmap::MappedFile;

pub(crate) const FORMAT: Format = Format {
    name: "ONNX",
    file_names: &[
        "encoder_model.onnx",
        "onnx/encoder_model.onnx",
        "encoder_model_fp16.onnx",
        "onnx/encoder_model_fp16.onnx",
        "encoder_model_quantized.onnx",
        "onnx/encoder_model_quantized.onnx",
        "encoder_model_int8.onnx",
        "onnx/encoder_model_int8.onnx",
        "encoder_model_uint8.onnx",
        "onnx/encoder_model_uint8.onnx",
    ],
    probe,
    read,
};

/// What a graph takes and gives, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The name of its file.
    pub file: String,
    /// What it takes.
    pub inputs: Vec<GraphValue>,
    /// What it gives.
    pub outputs: Vec<GraphValue>,
}

impl Interface {
    /// Reads that of any ONNX file.
    ///
    /// # Errors
    /// When there is no such file, or it is no ONNX file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = MappedFile::open(path)?;
        if !probe(file.bytes()) {
            return Err(file.malformed("it does not begin as an ONNX file does"));
        }
        Ok(Self::of(&file, Model::read(&file)?))
    }

    fn of(file: &MappedFile, model: Model) -> Self {
        Self { file: file_name(file), inputs: model.graph.inputs, outputs: model.graph.outputs }
    }
}

/// A field 1, the version of the format, and another field of the model.
fn probe(bytes: &[u8]) -> bool {
    matches!(bytes, [0x08, 1..=63, tag, ..] if matches!(tag >> 3, 2..=8 | 14) && matches!(tag & 7, 0 | 2))
}

fn read(file: MappedFile) -> Result<Contents, Error> {
    let (encoder, decoder) = both(file)?;
    let mut contents = Contents::new();
    contents.encoder_heads = add(encoder, Network::Encoder, &mut contents)?;
    contents.decoder_heads = add(decoder, Network::Decoder, &mut contents)?;
    Ok(contents)
}

/// Adds the weights of a graph; returns its number of heads, if the graph tells.
fn add(file: MappedFile, network: Network, contents: &mut Contents) -> Result<Option<usize>, Error> {
    let model = Model::read(&file)?;
    let found = find::find(&model, network, &|tensor| storage::integers(file.bytes(), tensor));
    if let Some(op) = found.fused {
        return Err(file.unsupported(format!(
            "the graph was optimised for one runtime, whose operator {op} hides weights; take the export before that"
        )));
    }
    let mut storage = Storage::new(file);
    for (name, weight) in found.weights {
        let mut entry = storage.entry(&name, weight, &model.tensors)?;
        entry.file += contents.files.len();
        contents.insert(&storage.file, name, entry)?;
    }
    contents.graphs.push(Interface::of(&storage.file, model));
    contents.files.extend(storage.into_files());
    Ok(found.heads)
}

fn file_name(file: &MappedFile) -> String {
    file.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The files of encoder and decoder, of which `file` is one. They have the same name but for the part.
fn both(file: MappedFile) -> Result<(MappedFile, MappedFile), Error> {
    const ENCODER: &str = "encoder_model";
    const MERGED: &str = "decoder_model_merged";
    const DECODER: &str = "decoder_model";
    let name = file_name(&file);
    let beside = |part: &str, others: &[&str]| {
        let names: Vec<String> = others.iter().map(|other| name.replacen(part, other, 1)).collect();
        let found = names.iter().map(|name| file.path().with_file_name(name)).find(|path| path.exists());
        let missing = || file.unsupported(format!("is half a model: beside it should be {}", names.join(" or ")));
        MappedFile::open(&found.ok_or_else(missing)?)
    };
    if name.contains(ENCODER) {
        let decoder = beside(ENCODER, &[DECODER, MERGED])?;
        Ok((file, decoder))
    } else if let Some(part) = [MERGED, DECODER].into_iter().find(|part| name.contains(part)) {
        Ok((beside(part, &[ENCODER])?, file))
    } else {
        Err(file.unsupported(
            "is not called encoder_model.onnx, decoder_model.onnx or decoder_model_merged.onnx, with or without a \
             suffix; give the directory of an export, or one of these files",
        ))
    }
}
