//! ONNX exports as Hugging Face's tools write them: `encoder_model.onnx` and `decoder_model.onnx` or
//! `decoder_model_merged.onnx`, in a directory or in its subdirectory `onnx`; float32, float16 or quantised.
//!
//! Only the weights are read from the graphs. The weights are identified by how the graph uses its constants
//! ([`find`]).

mod find;
mod interface;
mod model;
mod names;
mod storage;
mod wire;

pub use interface::Interface;
pub use model::{Dimension, GraphValue};

use self::interface::{file_name, probe};
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

fn read(file: MappedFile) -> Result<Contents, Error> {
    let (encoder, decoder) = both(file)?;
    let mut contents = Contents::new();
    contents.encoder_heads = add(encoder, Network::Encoder, &mut contents)?;
    contents.decoder_heads = add(decoder, Network::Decoder, &mut contents)?;
    Ok(contents)
}

/// Adds the weights of the graph in `file` to `contents`. Returns the number of attention heads, if the graph shows
/// it.
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

/// Opens the other half of an export: the decoder's file if `file` is the encoder's, and vice versa. Returns the
/// encoder's file and the decoder's file. Their names differ only in the part `encoder_model`, `decoder_model` or
/// `decoder_model_merged`.
fn both(file: MappedFile) -> Result<(MappedFile, MappedFile), Error> {
    const ENCODER: &str = "encoder_model";
    const MERGED: &str = "decoder_model_merged";
    const DECODER: &str = "decoder_model";
    let name = file_name(&file);
    let beside = |part: &str, others: &[&str]| {
        let names: Vec<String> = others.iter().map(|other| name.replacen(part, other, 1)).collect();
        let found = names.iter().map(|name| file.path().with_file_name(name)).find(|path| path.exists());
        let missing =
            || file.unsupported(format!("is half of a model; the other half is missing: {}", names.join(" or ")));
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
