//! Catches panics of third-party parsers.
//!
//! The demuxers and decoders are safe Rust and hardened, but a hostile file can still cause an overflow or an index
//! out of range in one of them. Such a panic is reported as damage of the file.

use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::errors::{Error, Result};

/// Runs `f` and turns a panic inside `f` into a decode error.
///
/// After a panic, the state of the demuxer or decoder that `f` used is unknown, so the caller must not use it again.
pub(crate) fn guard<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or(Err(PANICKED))
}

/// The error that replaces a caught panic.
const PANICKED: Error = Error::LimitError("the data made the decoder stop");

/// Whether the decoder must be replaced after `error`, which is a caught panic or an exceeded limit.
pub(crate) fn is_fatal(error: &Error) -> bool {
    matches!(error, Error::LimitError(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        let caught = guard(|| -> Result<()> { panic!("third-party parser") });
        assert!(caught.as_ref().is_err_and(is_fatal));
        assert_eq!(guard(|| Ok(7)).unwrap(), 7);
    }
}
