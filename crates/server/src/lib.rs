//! Speech to text over HTTP, compatible with the `OpenAI` API.
//!
//! A [`Server`] runs until it is asked to shut down. From the lowest module to the highest:
//!
//! - `config`: the settings ([`Config`]); `error`: error responses; `metrics`: counters; `auth`: API keys;
//!   `limits`: slots and the rate limit
//! - `pool`: the loaded models
//! - `transcription`: transcribes one recording; `jobs`: long recordings in the background; `live`: live sessions
//! - `state`: what all requests share
//! - `api`: the endpoints
//! - `serve`: start-up, connections, shutdown
#![forbid(unsafe_code)]

mod api;
mod auth;
mod config;
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
pub use serve::{ServeError, Server, ShutdownOutcome};
