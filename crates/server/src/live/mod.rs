//! Live transcription: a session receives audio while someone speaks, and returns the text. This module does not
//! depend on HTTP.

mod messages;
mod session;

pub use messages::{Command, SessionEvent, SessionSettings};
pub use session::start;
