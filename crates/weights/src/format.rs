//! What a format is, and the list of them.

use std::collections::BTreeMap;
use std::collections::btree_map;

use crate::mmap::MappedFile;
use crate::tensor::Entry;
use crate::{Error, ctranslate2, ggml, onnx, safetensors, sharded};

/// A file format of model weights.
pub(crate) struct Format {
    pub(crate) name: &'static str,
    /// What its file is called inside a model's directory, the best first; `*` stands for any text.
    pub(crate) file_names: &'static [&'static str],
    /// Whether a file of this content is meant to be in this format, judged by its first bytes.
    pub(crate) probe: fn(&[u8]) -> bool,
    pub(crate) read: fn(MappedFile) -> Result<Contents, Error>,
}

/// Every supported format; a directory is searched in this order.
pub(crate) const FORMATS: &[Format] =
    &[ctranslate2::FORMAT, safetensors::FORMAT, sharded::FORMAT, ggml::FORMAT, onnx::FORMAT];

impl Format {
    /// The format of a file, by its content.
    pub(crate) fn of(file: &MappedFile) -> Result<&'static Self, Error> {
        FORMATS.iter().find(|format| (format.probe)(file.bytes())).ok_or_else(|| Error::UnknownFormat {
            path: file.path().to_owned(),
            looks_like: looks_like(file.bytes()),
            supported: FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", "),
        })
    }
}

/// What a format's reader finds.
pub(crate) struct Contents {
    /// The files that the entries point into.
    pub(crate) files: Vec<MappedFile>,
    /// By canonical name.
    pub(crate) tensors: BTreeMap<String, Entry>,
    pub(crate) encoder_heads: Option<usize>,
    pub(crate) decoder_heads: Option<usize>,
    /// The bytes of text tokens, by id, where the file has them.
    pub(crate) vocabulary: Option<Vec<Vec<u8>>>,
    /// Of formats that have graphs, what these take and give.
    pub(crate) graphs: Vec<onnx::Interface>,
}

impl Contents {
    pub(crate) fn new() -> Self {
        Self {
            files: Vec::new(),
            tensors: BTreeMap::new(),
            encoder_heads: None,
            decoder_heads: None,
            vocabulary: None,
            graphs: Vec::new(),
        }
    }

    /// Adds a tensor of `file`, whose name must be new.
    pub(crate) fn insert(&mut self, file: &MappedFile, name: String, entry: Entry) -> Result<(), Error> {
        match self.tensors.entry(name) {
            btree_map::Entry::Vacant(vacant) => {
                vacant.insert(entry);
                Ok(())
            }
            btree_map::Entry::Occupied(taken) => Err(file.malformed(format!("tensor {} is there twice", taken.key()))),
        }
    }
}

/// Whether a name read from a file may be shown in a message: short, and without control characters.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= 256 && !name.contains(char::is_control)
}

/// Names what people often have in place of a supported file.
fn looks_like(bytes: &[u8]) -> &'static str {
    const SIGNS: &[(&[u8], &str)] = &[
        (b"PK\x03\x04", "is a PyTorch (pickle) checkpoint; save the model as safetensors"),
        (b"\x80\x02", "is a PyTorch (pickle) checkpoint; save the model as safetensors"),
        (b"GGUF", "is a GGUF model; whisper.cpp's ggml-*.bin files are no GGUF"),
        (b"version https://git-lfs", "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"),
        (b"<!DOCTYPE", "is a web page, so its download went wrong; fetch it again"),
        (b"<!doctype", "is a web page, so its download went wrong; fetch it again"),
        (b"<html", "is a web page, so its download went wrong; fetch it again"),
    ];
    match SIGNS.iter().find(|(sign, _)| bytes.starts_with(sign)) {
        _ if bytes.is_empty() => "is empty; fetch it again",
        Some((_, name)) => name,
        None => "is in an unknown format",
    }
}
