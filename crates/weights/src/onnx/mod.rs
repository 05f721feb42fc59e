//! Reader of ONNX exports as made by Hugging Face's tools.
//!
//! An export consists of `encoder_model.onnx` and either `decoder_model.onnx` or `decoder_model_merged.onnx`, in the
//! directory of the model or in its subdirectory `onnx`. It may be float32, float16 or quantised.
//!
//! The graphs are not executed; only their weights are read. How a graph uses a constant tells which weight it is
//! ([`find`]).

mod find;
mod model;
mod names;
mod storage;
mod wire;

use std::path::Path;

use self::model::Model;
use self::names::Network;
use self::storage::Storage;
use crate::format::{Contents, Format};
use crate::mmap::MappedFile;
use crate::{Error, Interface};

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

impl Interface {
    /// Reads the interface of an ONNX file.
    ///
    /// # Errors
    /// If the file cannot be opened, or is not an ONNX file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = MappedFile::open(path)?;
        if !probe(file.bytes()) {
            return Err(file.malformed("it is not an ONNX file"));
        }
        Ok(Self::of(&file, Model::read(&file)?))
    }

    fn of(file: &MappedFile, model: Model) -> Self {
        Self { file: file_name(file), inputs: model.graph.inputs, outputs: model.graph.outputs }
    }
}

/// The file starts with field 1, the version of the format, and another field of `ModelProto`.
fn probe(bytes: &[u8]) -> bool {
    matches!(bytes, [0x08, 1..=63, tag, ..] if matches!(tag >> 3, 2..=8 | 14) && matches!(tag & 7, 0 | 2))
}

fn read(file: MappedFile) -> Result<Contents, Error> {
    let (encoder, decoder) = open_pair(file)?;
    let mut contents = Contents::new();
    contents.encoder_heads = add(encoder, Network::Encoder, &mut contents)?;
    contents.decoder_heads = add(decoder, Network::Decoder, &mut contents)?;
    Ok(contents)
}

/// Adds the weights of a graph to `contents`. Returns the number of attention heads, if the graph shows it.
fn add(file: MappedFile, network: Network, contents: &mut Contents) -> Result<Option<usize>, Error> {
    let model = Model::read(&file)?;
    let found = find::find(&model, network, &|tensor| storage::integers(file.bytes(), tensor));
    if let Some(op) = found.fused {
        return Err(file.unsupported(format!(
            "the graph was optimised for one runtime, and its operator {op} hides weights; use the original export"
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

/// The name of a file, without its directory.
fn file_name(file: &MappedFile) -> String {
    file.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The files of the encoder and the decoder, of which `file` is one. The name of the other file is found by replacing
/// `encoder_model` with `decoder_model` or `decoder_model_merged`, or the other way round; a suffix is kept.
fn open_pair(file: MappedFile) -> Result<(MappedFile, MappedFile), Error> {
    const ENCODER: &str = "encoder_model";
    const MERGED: &str = "decoder_model_merged";
    const DECODER: &str = "decoder_model";
    let name = file_name(&file);
    let open_other = |part: &str, others: &[&str]| {
        let names: Vec<String> = others.iter().map(|other| name.replacen(part, other, 1)).collect();
        let found = names.iter().map(|name| file.path().with_file_name(name)).find(|path| path.exists());
        let missing = || {
            file.unsupported(format!(
                "is only half of a model; the same directory should contain {}",
                names.join(" or ")
            ))
        };
        MappedFile::open(&found.ok_or_else(missing)?)
    };
    if name.contains(ENCODER) {
        let decoder = open_other(ENCODER, &[DECODER, MERGED])?;
        Ok((file, decoder))
    } else if let Some(part) = [MERGED, DECODER].into_iter().find(|part| name.contains(part)) {
        Ok((open_other(part, &[ENCODER])?, file))
    } else {
        Err(file.unsupported(
            "is not named encoder_model.onnx, decoder_model.onnx or decoder_model_merged.onnx, with or without a \
             suffix; give the directory of an export, or one of these files",
        ))
    }
}
