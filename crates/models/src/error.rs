//! The error type. Each message tells the user what to do next.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Sha256;

/// An error of the model catalogue or store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No model in the catalogue has this name or alias.
    #[error("there is no model called {name:?}{}; the models are: {}",
            did_you_mean(.suggestion.as_ref()), .known.join(", "))]
    UnknownModel {
        /// The requested name.
        name: String,
        /// The nearest name in the catalogue, if one is similar.
        suggestion: Option<String>,
        /// The names of all models.
        known: Vec<String>,
    },

    /// The model is not a transcription model.
    #[error(
        "the model {name:?} detects speech and does not transcribe it; it is used automatically together with every \
             other model, for example `base`"
    )]
    DoesNotTranscribe {
        /// The model's name.
        name: String,
    },

    /// The model was given as a path that does not exist.
    #[error("there is no model at {}: no such file or directory", .0.display())]
    NoSuchPath(PathBuf),

    /// The model is in the catalogue, but not in the store.
    #[error("the model {name:?} is not installed; `amanuensis models pull {name}` fetches it (this needs a network)")]
    NotInstalled {
        /// The model's name.
        name: String,
    },

    /// The model is in the store, but its files differ from those that were installed.
    #[error("the model {name:?} in {} is damaged ({}); `amanuensis models pull {name}` fetches it anew",
            .path.display(), Listed(.problems))]
    Damaged {
        /// The model's name.
        name: String,
        /// The model's directory.
        path: PathBuf,
        /// The problem of each file.
        problems: Vec<Problem>,
    },

    /// The model could not be downloaded, because all of its sources failed.
    #[error("the model {name:?} could not be fetched: {}. Files that were downloaded by hand can be used too: put \
             them in a directory and give its path as the model", Listed(.failures))]
    NoSource {
        /// The model's name.
        name: String,
        /// The sources that were tried, with the reason why each failed.
        failures: Vec<SourceFailure>,
    },

    /// Another process is pulling or removing the model.
    #[error("the model {name:?} is being fetched by another process; try again when that is done")]
    Busy {
        /// The model's name.
        name: String,
    },

    /// The progress callback cancelled the operation. The next pull continues with the files downloaded so far.
    #[error("cancelled")]
    Cancelled,

    /// The platform has no data directory for this user.
    #[error("this user has no data directory; set AMANUENSIS_MODELS to a directory for the models")]
    NoDataDirectory,

    /// The hub endpoint is not an HTTP address.
    #[error("{0:?} is not a hub endpoint: it has to begin with https:// or http://")]
    BadEndpoint(String),

    /// The catalogue is malformed.
    #[error("the model catalogue is not valid: {0}")]
    BadCatalogue(String),

    /// A file of the store could not be read or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// The operation, as a verb: "cannot *create* PATH".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl Error {
    /// Returns a function for `map_err`. This function adds to an I/O error what was being done (`action`) and with
    /// which file or directory (`path`).
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// A problem with a file of an installed model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name inside the model's directory.
    pub file: String,
    /// The kind of the problem.
    pub fault: Fault,
}

/// A kind of problem with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The file does not exist.
    Missing,
    /// The file has a wrong size. Sizes are in bytes.
    Size {
        /// The size when the model was installed.
        expected: u64,
        /// The current size.
        actual: u64,
    },
    /// The file has the right size, but wrong contents.
    Checksum {
        /// The expected digest, which is that of the catalogue or that recorded at installation.
        expected: Sha256,
        /// The current digest.
        actual: Sha256,
    },
    /// The file cannot be read or parsed.
    Unreadable(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        match &self.fault {
            Fault::Missing => write!(f, "missing"),
            Fault::Size { expected, actual } => write!(f, "{actual} bytes, should be {expected}"),
            Fault::Checksum { expected, actual } => write!(f, "corrupt, sha256 is {actual}, should be {expected}"),
            Fault::Unreadable(reason) => write!(f, "unreadable, {reason}"),
        }
    }
}

/// A source that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFailure {
    /// The name of the source, as a text for users.
    pub source: String,
    /// The reason why the source failed.
    pub reason: String,
}

impl fmt::Display for SourceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.reason)
    }
}

/// Shows items separated by semicolons.
struct Listed<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, item) in self.0.iter().enumerate() {
            write!(f, "{}{item}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

fn did_you_mean(suggestion: Option<&String>) -> String {
    suggestion.map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default()
}
