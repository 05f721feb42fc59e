//! The endpoints, one file each, and what they have in common. Only here are `OpenAI`'s types and HTTP known.

mod answer;
mod chunking;
mod docs;
mod failure;
mod form;
mod gate;
mod health;
mod jobs;
mod metrics;
mod models;
mod query;
mod realtime;
mod refusals;
mod router;
mod run;
mod stream;
mod transcriptions;
mod translations;
mod values;

pub use router::router;
