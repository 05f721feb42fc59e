//! What can go wrong, said so that a user knows what to do next.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Sha256;

/// An error of the model catalogue or store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No model of the catalogue has this name or alias.
    #[error("there is no model called {name:?}{}; the models are: {}",
            did_you_mean(.suggestion.as_ref()), .known.join(", "))]
    UnknownModel {
        /// The name that was asked for.
        name: String,
        /// The nearest name in the catalogue, if one is near.
        suggestion: Option<String>,
        /// The names of all models.
        known: Vec<String>,
    },

    /// The model is one that helps others and does not write speech down itself.
    #[error(
        "the model {name:?} finds where speech is and writes none of it down; it is used by itself along with any \
             other model, for example `base`"
    )]
    DoesNotTranscribe {
        /// The model's name.
        name: String,
    },

    /// A path was given and nothing is there.
    #[error("there is no model at {}: no such file or directory", .0.display())]
    NoSuchPath(PathBuf),

    /// The model is in the catalogue, but not in the store.
    #[error("the model {name:?} is not installed; `amanuensis models pull {name}` fetches it (this needs a network)")]
    NotInstalled {
        /// The model's name.
        name: String,
    },

    /// The model is in the store, but not as it was installed.
    #[error("the model {name:?} in {} is damaged ({}); `amanuensis models pull {name}` fetches it anew",
            .path.display(), Listed(.problems))]
    Damaged {
        /// The model's name.
        name: String,
        /// The model's directory.
        path: PathBuf,
        /// What is wrong, file by file.
        problems: Vec<Problem>,
    },

    /// No source could deliver the model.
    #[error("the model {name:?} could not be fetched: {}. Files got by hand can be used as they are: put them in a \
             directory and give its path as the model", Listed(.failures))]
    NoSource {
        /// The model's name.
        name: String,
        /// Every source that was tried, with the reason why it failed.
        failures: Vec<SourceFailure>,
    },

    /// Another process is at work on the model.
    #[error("the model {name:?} is being fetched by another process; try again when that is done")]
    Busy {
        /// The model's name.
        name: String,
    },

    /// The progress callback asked to stop. What was fetched so far is kept and the next pull goes on from there.
    #[error("cancelled")]
    Cancelled,

    /// The platform names no data directory for this user.
    #[error("this user has no data directory; set AMANUENSIS_MODELS to a directory for the models")]
    NoDataDirectory,

    /// A hub endpoint that is not an address.
    #[error("{0:?} is not a hub endpoint: it has to begin with https:// or http://")]
    BadEndpoint(String),

    /// A catalogue that cannot be used.
    #[error("the model catalogue is not valid: {0}")]
    BadCatalogue(String),

    /// A file of the store could not be read or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was being done, as in "cannot *create* PATH".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: adds what was being done, and to which file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// One thing wrong with one file of an installed model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name inside the model's directory.
    pub file: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is not there.
    Missing,
    /// It is too short or too long; sizes in bytes.
    Size {
        /// The size it was installed with.
        expected: u64,
        /// The size it has.
        actual: u64,
    },
    /// Its size is right and its content is not.
    Checksum {
        /// The digest it should have.
        expected: Sha256,
        /// The digest it has.
        actual: Sha256,
    },
    /// It cannot be read or understood.
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

/// A source that was tried, and why it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFailure {
    /// The source, for people to read.
    pub source: String,
    /// Why it failed.
    pub reason: String,
}

impl fmt::Display for SourceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.reason)
    }
}

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
