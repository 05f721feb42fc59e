//! Live transcription: a session receives audio while someone speaks, and sends text back. Nothing here knows HTTP.

mod messages;
mod session;

pub use messages::{Command, SessionEvent, SessionSettings};
pub use session::start;
