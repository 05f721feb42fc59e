//! The interface that every file format implements, and the contents that a format returns.

use std::collections::BTreeMap;
use std::collections::btree_map;

use crate::Error;
use crate::mmap::MappedFile;
use crate::onnx::Interface;
use crate::tensor::Entry;

/// A file format of model weights.
pub(crate) struct Format {
    pub(crate) name: &'static str,
    /// File names of this format in a model's directory, most preferred first; `*` stands for any text.
    pub(crate) file_names: &'static [&'static str],
    /// Tells whether a file is in this format, given the file's bytes.
    pub(crate) probe: fn(&[u8]) -> bool,
    pub(crate) read: fn(MappedFile) -> Result<Contents, Error>,
}

/// The contents of a model file.
pub(crate) struct Contents {
    /// The files that contain the tensors' values. Each entry of `tensors` has the index of its file in this list.
    pub(crate) files: Vec<MappedFile>,
    /// Tensors by canonical name.
    pub(crate) tensors: BTreeMap<String, Entry>,
    pub(crate) encoder_heads: Option<usize>,
    pub(crate) decoder_heads: Option<usize>,
    /// The bytes of each text token in the order of token ids; `None` if the file does not contain them.
    pub(crate) vocabulary: Option<Vec<Vec<u8>>>,
    /// The inputs and outputs of the model's graphs; empty for formats without graphs.
    pub(crate) graphs: Vec<Interface>,
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

    /// Adds the tensor `name`, which is stored in `file`. Returns an error if a tensor with this name was already
    /// added.
    pub(crate) fn insert(&mut self, file: &MappedFile, name: String, entry: Entry) -> Result<(), Error> {
        match self.tensors.entry(name) {
            btree_map::Entry::Vacant(vacant) => {
                vacant.insert(entry);
                Ok(())
            }
            btree_map::Entry::Occupied(taken) => Err(file.malformed(format!("tensor {} occurs twice", taken.key()))),
        }
    }
}

/// Whether a name that was read from a file can be shown in a message. It can if it has at most 256 bytes and no
/// control characters.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= 256 && !name.contains(char::is_control)
}
