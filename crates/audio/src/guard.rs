//! The one place where a panic of a third-party parser is caught.
//!
//! The demuxers and decoders are safe Rust and hardened, but a file made to hurt can still run one into an overflow or
//! an index out of range. Such a panic means that the bytes are damaged, and is told as that.

use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::errors::{Error, Result};

/// Runs `f`; a panic inside becomes a decode error.
///
/// After a panic the caller must not use the reader or decoder that `f` touched again: its state is unknown.
pub(crate) fn guard<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or(Err(PANICKED))
}

/// The error that stands for a caught panic.
const PANICKED: Error = Error::LimitError("the data made the decoder stop");

/// True if `error` came from a caught panic, or is otherwise one after which a decoder must be made anew.
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
