//! Downloads a file over HTTP(S) (RFC 9110). Downloads can be resumed, are verified, and can be cancelled within a
//! tenth of a second.
//!
//! The `hf-hub` crate is not used. Its current version brings an asynchronous runtime and over two hundred crates.
//! The last blocking version trusts only built-in certificates, sets no timeouts, cannot be cancelled, verifies no
//! checksum, and corrupts a partial file when a server answers a range request with the whole file.
//!
//! A separate thread communicates with the server and passes blocks on through a bounded channel, so that an
//! unresponsive server cannot delay a cancellation. The thread ends when the channel is closed, or after a timeout
//! without data.

mod address;
mod client;
mod partial_file;
mod request;

pub(crate) use client::Client;
