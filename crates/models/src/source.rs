//! The interface of the sources that models are downloaded from.

use std::path::Path;

use crate::Error;
use crate::manifest::FileRecord;
use crate::progress::Reporter;

/// A source of a model.
pub(crate) trait Source {
    /// The source, as a text for users.
    fn label(&self) -> String;

    /// Downloads every file of the model into `dir/files`, verified and flushed to the disk.
    ///
    /// Other files in `dir` are the source's own. They are kept after a failure, so that the next fetch can resume, and
    /// removed after success.
    fn fetch(&self, dir: &Path, reporter: &mut Reporter<'_>) -> Result<Vec<FileRecord>, Failure>;
}

/// Why a fetch ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// This source failed. The next one is tried.
    Source(String),
    /// No other source would help: an error of the local disk, or a cancellation.
    Fatal(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}
