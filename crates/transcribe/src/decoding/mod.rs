//! Decoding of windows: the requests, the batch that all clients share, and temperature fallback.

mod decoder;
mod fair_queue;
mod fallback;
mod job;
mod prompt;
mod request;
mod scheduler;
mod worker;

#[cfg(test)]
pub(crate) use decoder::DecodeFailure;
pub(crate) use decoder::{DecodedWindow, WindowDecoder};
pub(crate) use fallback::DecodeCheck;
#[cfg(test)]
pub(crate) use fallback::Fallback;
pub(crate) use prompt::Prompt;
#[cfg(test)]
pub(crate) use request::Request;
pub(crate) use request::{RequestBuilder, WindowInput};
pub(crate) use scheduler::{Client, Scheduler};
