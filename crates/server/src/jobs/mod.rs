//! Jobs: long recordings that are transcribed in the background and survive a restart of the server.
//!
//! A job is a row in a database (`store`, `schema`). Its uploaded recording and its transcript are files beside the database
//! (`files`). `queue` has the operations that clients ask for. `runner` transcribes the jobs and stores a checkpoint after every
//! window, so a restarted server resumes after the last one. `follow` streams the progress of one job.
//!
//! Nothing here knows HTTP.

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
