//! The seam between the store and the places a model can come from.

use std::path::Path;

use crate::Error;
use crate::manifest::FileRecord;
use crate::progress::Reporter;

/// A place a model can be fetched from.
pub(crate) trait Source {
    /// The source, for people to read.
    fn label(&self) -> String;

    /// Fetches every file of the model into `dir/files`, verified and flushed to the disk.
    ///
    /// Whatever else `dir` holds is this source's own: it is kept when the fetch fails, so that the next one can go on
    /// from there, and removed when it succeeds.
    fn fetch(&self, dir: &Path, reporter: &mut Reporter<'_>) -> Result<Vec<FileRecord>, Failure>;
}

/// Why a fetch ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// This source cannot deliver; another may.
    Source(String),
    /// No source could do better: the disk is full, or the user has had enough.
    Fatal(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}
