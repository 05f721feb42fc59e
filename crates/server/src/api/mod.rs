//! The HTTP API: endpoints, middleware, and the request and response types of `OpenAI`'s API. Only this module
//! handles HTTP requests.

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
