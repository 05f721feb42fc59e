//! Speech to text over HTTP, as `OpenAI`'s clients ask for it.
//!
//! A [`Server`] runs until it is told to stop. `api` alone knows HTTP and `OpenAI`'s types; the models
//! (`pool`), the processes that decode (`decode`), the work on a recording (`work`), the limits and the settings ([`Config`]) do not.
#![forbid(unsafe_code)]

mod api;
mod auth;
mod config;
mod decode;
mod error;
mod jobs;
mod limits;
mod live;
mod metrics;
mod pool;
mod serve;
mod state;
mod transcription;

pub use config::{Config, ConfigError};
pub use decode::{WORKER, decode_worker};
pub use serve::{ServeError, Server, ShutdownOutcome};
