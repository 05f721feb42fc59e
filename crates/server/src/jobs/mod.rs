//! Jobs: long recordings that are transcribed in the background. Jobs survive a restart of the server.
//!
//! A job is a row in a database (`store`, `schema`). Its uploaded recording and its transcript are files next to the
//! database (`files`). `queue` has the operations on jobs that clients request. `runner` transcribes the jobs and
//! stores a checkpoint after every window, so that a restarted server can resume after the last checkpoint. `follow`
//! streams the progress of one job.
//!
//! This module does not depend on HTTP.

mod check;
mod error;
mod files;
mod follow;
mod job;
mod queue;
mod runner;
mod schema;
mod settings;
mod store;

pub use error::JobError;
pub use follow::JobEvent;
pub use job::{Job, JobParams, JobState};
pub use queue::Jobs;
pub use settings::JobSettings;

#[cfg(test)]
mod tests;
