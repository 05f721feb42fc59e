//! Errors of opening a checkpoint and reading its tensors.

use std::io;
use std::path::PathBuf;

/// Why a checkpoint or one of its tensors cannot be read. The message names the file and, where possible, says what to
/// do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened or mapped.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },

    /// The path is neither a directory nor a regular file.
    #[error("{}: is not a regular file; give the directory of a model or its weight file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },

    /// The directory holds no weight file of a supported format.
    #[error(
        "{}: holds no model weights (looked for {looked_for}); give the directory of a model or its weight file",
        directory.display()
    )]
    NoWeights {
        /// The directory.
        directory: PathBuf,
        /// The file names that were looked for.
        looked_for: String,
    },

    /// The directory holds more than one model.
    #[error("{}: holds several models ({names}); give the path of one of these files", directory.display())]
    SeveralWeights {
        /// The directory.
        directory: PathBuf,
        /// The names of the weight files.
        names: String,
    },

    /// The content of the file is in no supported format.
    #[error("{}: {looks_like}; supported formats are {supported}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What the content appears to be, and what to do.
        looks_like: &'static str,
        /// The names of the supported formats.
        supported: String,
    },

    /// The file is shorter than its content requires.
    #[error("{}: the file ends at byte {length} inside {inside}: it is truncated; download it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
        /// The part of the content that the file ends in.
        inside: String,
    },

    /// The file contradicts itself or its format.
    #[error("{}: {reason}: the file is damaged; download it again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },

    /// The file is valid but uses something that is not supported.
    #[error("{}: {reason}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is not supported, and what to use instead.
        reason: String,
    },

    /// The checkpoint has no tensor of this name.
    #[error("{}: has no tensor {name}: this is not a complete Whisper model", path.display())]
    MissingTensor {
        /// The checkpoint's file.
        path: PathBuf,
        /// The canonical name of the tensor.
        name: String,
    },

    /// The shape of a tensor is not the one that the rest of the model requires.
    #[error("{}: tensor {name} has shape {found:?}, but the model needs {expected:?}", path.display())]
    Shape {
        /// The checkpoint's file.
        path: PathBuf,
        /// The canonical name of the tensor.
        name: String,
        /// The required shape.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
}
