//! The contract of a file format: how a reader is described, and what it returns.

use std::collections::BTreeMap;
use std::collections::btree_map;

use crate::mmap::MappedFile;
use crate::tensor::Entry;
use crate::{Error, Interface};

/// A file format of model weights.
pub(crate) struct Format {
    /// The name of the format, as users know it.
    pub(crate) name: &'static str,
    /// The file names to look for in a model's directory, the preferred one first. One `*` matches any text.
    pub(crate) file_names: &'static [&'static str],
    /// Whether a file with these bytes is in this format. Looks only at the first bytes, and does not validate the
    /// file.
    pub(crate) probe: fn(&[u8]) -> bool,
    /// Reads the index of a file, and of other files that belong to it.
    pub(crate) read: fn(MappedFile) -> Result<Contents, Error>,
}

/// What the reader of a format returns.
pub(crate) struct Contents {
    /// The files that hold the tensors.
    pub(crate) files: Vec<MappedFile>,
    /// The tensors, by canonical name.
    pub(crate) tensors: BTreeMap<String, Entry>,
    /// Attention heads of the encoder, if the format stores the number.
    pub(crate) encoder_heads: Option<usize>,
    /// Attention heads of the decoder, if the format stores the number.
    pub(crate) decoder_heads: Option<usize>,
    /// The bytes of the text tokens, by id, if the format stores them.
    pub(crate) vocabulary: Option<Vec<Vec<u8>>>,
    /// The interfaces of the model's graphs, if the format contains graphs.
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

    /// Adds a tensor of `file`. A second tensor of the same name is an error.
    pub(crate) fn insert(&mut self, file: &MappedFile, name: String, entry: Entry) -> Result<(), Error> {
        match self.tensors.entry(name) {
            btree_map::Entry::Vacant(vacant) => {
                vacant.insert(entry);
                Ok(())
            }
            btree_map::Entry::Occupied(first) => Err(file.malformed(format!("tensor {} occurs twice", first.key()))),
        }
    }
}

/// Whether a name from a file may be shown in an error message: at most 256 bytes, and no control characters.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= 256 && !name.contains(char::is_control)
}
