//! Decoding in another process: the protocol of the pipe between that process and this one.
//!
//! Every frame consists of a tag (1 byte), the length of its content (4 bytes, little-endian) and the content.
//! Numbers in the content are little-endian too. The frames are, in this order:
//!
//! - `RECORDING`, with the length of the recording in seconds if its headers state it;
//! - `SAMPLES`, one or more for each block, preceded by a `WARNING` for each warning that is new or has changed;
//! - `END`.
//!
//! A `FAILURE` can replace any of these frames. It is then the last frame. The samples are bit for bit those that
//! [`Audio`](crate::Audio) yields in the other process.

mod frames;
mod receive;
mod send;

#[cfg(test)]
mod tests;

pub(crate) use receive::Receiver;
pub use send::send;
