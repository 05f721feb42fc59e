//! The HTTP interface: endpoints, middleware, and the types of `OpenAI`'s interface. No other module knows about HTTP.

mod docs;
mod drain;
mod error_conversions;
mod error_responses;
mod form;
mod health;
mod jobs;
mod metrics;
mod middleware;
mod models;
mod realtime;
mod rejections;
mod response;
mod response_format;
mod router;
mod run;
mod schemas;
mod stream;
mod transcriptions;
mod translations;

pub use router::router;
