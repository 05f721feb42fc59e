//! A recording that another process decodes: the protocol of the pipe between that process and this one.
//!
//! Every frame is a tag (1 byte), the length of its content (4 bytes, little-endian) and the content, whose numbers are
//! little-endian too:
//!
//! 1. `RECORDING`, with the length of the recording in seconds if its headers state it;
//! 2. `SAMPLES`, one or more for each block; before them, a `WARNING` for each warning that is new or has changed;
//! 3. `END`.
//!
//! `FAILURE` may come instead of any of these, and is the last frame then. The samples are bit for bit those that
//! [`Audio`](crate::Audio) yields in the process that decodes.

mod frames;
mod receive;
mod send;

#[cfg(test)]
mod tests;

pub(crate) use receive::Receiver;
pub use send::send;
