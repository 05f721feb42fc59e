//! Speech to text over HTTP, compatible with the `OpenAI` API.
//!
//! A [`Server`] runs until a shutdown is requested. The modules, from the lowest to the highest:
//!
//! - `config`: the settings ([`Config`]); `error`: error responses; `metrics`: counters; `auth`: API keys; `limits`:
//!   slots and the rate limit
//! - `pool`: the loaded models
//! - `transcription`: transcribes one recording; `jobs`: transcribes long recordings in the background; `live`:
//!   transcribes live speech
//! - `state`: the state that all requests share
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
