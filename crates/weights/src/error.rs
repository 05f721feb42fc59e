//! Errors of opening and reading a checkpoint.

use std::io;
use std::path::PathBuf;

/// Why a checkpoint or one of its tensors cannot be read. Every message names the file and says what to do.
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
    #[error("{}: is not a regular file; give a model's directory or its weight file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },

    /// The directory contains no weight file with a name that this crate looks for.
    #[error(
        "{}: holds no model weights (looked for {looked_for}); give a model's directory or its weight file",
        directory.display()
    )]
    NoWeights {
        /// The directory.
        directory: PathBuf,
        /// The file names that were looked for in the directory.
        looked_for: String,
    },

    /// Several files in the directory have names that a weight file of the same format may have, so it is not clear
    /// which one to open.
    #[error("{}: holds several models ({names}); give the path of one of these files", directory.display())]
    SeveralWeights {
        /// The directory.
        directory: PathBuf,
        /// The names of the weight files.
        names: String,
    },

    /// The file's content is in no supported format.
    #[error("{}: {looks_like}; supported are {supported}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The kind of file that the content appears to be.
        looks_like: &'static str,
        /// The names of the supported formats.
        supported: String,
    },

    /// The file ends before a part of it is complete.
    #[error("{}: the file ends at byte {length} inside {inside}: it is truncated; fetch it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The length of the file in bytes.
        length: usize,
        /// The name of the part of the file that is cut off.
        inside: String,
    },

    /// The parts of the file contradict each other.
    #[error("{}: {reason}: the file is damaged; fetch it again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What the reader expected in the file, and what it found.
        reason: String,
    },

    /// The file is valid but cannot be read, because it uses a feature that this crate does not support.
    #[error("{}: {reason}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The feature that is not supported, and what to use instead.
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

    /// A tensor's shape differs from the shape that the rest of the model requires.
    #[error("{}: tensor {name} has shape {found:?}, but the model needs {expected:?}", path.display())]
    Shape {
        /// The checkpoint's file.
        path: PathBuf,
        /// The canonical name of the tensor.
        name: String,
        /// The shape that the model requires.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
}
