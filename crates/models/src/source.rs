//! The interface that all sources of models implement: the hub and Python wheels.

use std::path::Path;

use crate::Error;
use crate::manifest::FileRecord;
use crate::progress::Reporter;

/// A place from which a model can be downloaded.
pub(crate) trait Source {
    /// The name of the source, as a text for users.
    fn label(&self) -> String;

    /// Downloads every file of the model into `dir/files`, verifies the files and flushes them to the disk. Returns
    /// the size and digest of each.
    ///
    /// A source may keep other files in `dir`. They stay after a failure, so that the next fetch can resume, and are
    /// removed after success.
    fn fetch(&self, dir: &Path, reporter: &mut Reporter<'_>) -> Result<Vec<FileRecord>, Failure>;
}

/// The reason why a source could not deliver a model.
#[derive(Debug)]
pub(crate) enum Failure {
    /// This source failed, so the next one is tried.
    Source(String),
    /// The download ends without trying another source, because of an error of the local disk or a cancellation.
    Fatal(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}
