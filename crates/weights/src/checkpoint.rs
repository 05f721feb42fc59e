//! An opened model: finds its weight file, detects the format, and gives access to the tensors.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::format::Contents;
use crate::formats::{FORMATS, detect};
use crate::mmap::MappedFile;
use crate::{Error, Interface, Tensor};

/// An opened model: named tensors in memory-mapped files.
///
/// Opening a checkpoint reads only the index; tensors are read when they are used. Dropping it unmaps the files.
pub struct Checkpoint {
    path: PathBuf,
    format: &'static str,
    contents: Contents,
}

impl Checkpoint {
    /// Opens a model, given as a weight file of any name or as a directory that contains `model.bin`,
    /// `model.safetensors`, `model.safetensors.index.json`, ONNX files or `ggml-*.bin`. The format is detected by
    /// content.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = if path.is_dir() { find(path)? } else { MappedFile::open(path)? };
        let format = detect(&file)?;
        let path = file.path().to_owned();
        Ok(Self { path, format: format.name, contents: (format.read)(file)? })
    }

    /// The name of the weight file's format, such as "`CTranslate2`" or "safetensors", for messages.
    pub fn format(&self) -> &'static str {
        self.format
    }

    /// The path of the weight file. If several files hold the weights (a sharded checkpoint), the path of their JSON
    /// index.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of the model, which contains `config.json` and `tokenizer.json`. It is the directory of the
    /// weight file, or the parent directory if the weight file is a graph in a subdirectory `onnx`.
    pub fn directory(&self) -> &Path {
        let own = parent(&self.path);
        if own.ends_with("onnx") && !own.join("config.json").exists() { parent(own) } else { own }
    }

    /// Returns the tensor with a canonical name (see the [crate's documentation](crate)), or
    /// [`Error::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>, Error> {
        self.get(name).ok_or_else(|| Error::MissingTensor { path: self.path.clone(), name: name.to_owned() })
    }

    /// Returns the tensor with a canonical name, or `None` if the model does not have it. Use this for optional
    /// tensors.
    pub fn get(&self, name: &str) -> Option<Tensor<'_>> {
        let (name, entry) = self.contents.tensors.get_key_value(name)?;
        Some(Tensor::new(name, &self.contents.files[entry.file], entry))
    }

    /// The canonical names of all tensors of the model, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.contents.tensors.keys().map(String::as_str)
    }

    /// The bytes of each text token in the order of token ids, or `None` if the weight file does not contain them
    /// (only ggml files do). Special tokens are not included.
    pub fn vocabulary(&self) -> Option<&[Vec<u8>]> {
        self.contents.vocabulary.as_deref()
    }

    /// The inputs and outputs of the model's ONNX graphs. Empty for all other formats.
    pub fn graphs(&self) -> &[Interface] {
        &self.contents.graphs
    }

    /// The number of attention heads of the encoder, or `None` if the weight file does not contain it (with
    /// safetensors, only `config.json` does).
    pub fn encoder_heads(&self) -> Option<usize> {
        self.contents.encoder_heads
    }

    /// The number of attention heads of the decoder, or `None` if the weight file does not contain it (with
    /// safetensors, only `config.json` does).
    pub fn decoder_heads(&self) -> Option<usize> {
        self.contents.decoder_heads
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("path", &self.path)
            .field("format", &self.format)
            .field("tensors", &self.contents.tensors.len())
            .finish_non_exhaustive()
    }
}

/// The directory that contains the file at `path`.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Finds the weight file in a model's directory: the first file that has a known name and whose content is in a known
/// format. If no file qualifies, returns the error of the first file that has a known name, or [`Error::NoWeights`]
/// if there is none. Fails if several files match one pattern of names.
fn find(directory: &Path) -> Result<MappedFile, Error> {
    let mut problem = None;
    for pattern in FORMATS.iter().flat_map(|format| format.file_names) {
        let Some(path) = only_match(directory, pattern)? else { continue };
        match MappedFile::open(&path).and_then(|file| detect(&file).map(|_| file)) {
            Ok(file) => return Ok(file),
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    Err(problem.unwrap_or_else(|| Error::NoWeights {
        directory: directory.to_owned(),
        looked_for: FORMATS
            .iter()
            .filter_map(|format| format.file_names.first().copied())
            .collect::<Vec<_>>()
            .join(", "),
    }))
}

/// Finds the file in a directory whose name matches `pattern`, in which one `*` stands for any text. Returns `None`
/// if no file matches. Returns an error if several files match.
fn only_match(directory: &Path, pattern: &str) -> Result<Option<PathBuf>, Error> {
    let Some((start, end)) = pattern.split_once('*') else {
        let path = directory.join(pattern);
        return Ok(path.exists().then_some(path));
    };
    let io = |source| Error::Io { path: directory.to_owned(), source };
    let mut found: Vec<String> = Vec::new();
    for entry in directory.read_dir().map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let matches =
            |name: &&str| name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end);
        found.extend(name.to_str().filter(matches).map(str::to_owned));
    }
    found.sort();
    match found.as_slice() {
        [] => Ok(None),
        [name] => Ok(Some(directory.join(name))),
        _ => Err(Error::SeveralWeights { directory: directory.to_owned(), names: found.join(", ") }),
    }
}
