//! Speech that is still going on: a session that takes bytes as they come and tells what it hears. No HTTP here.

mod session;

pub use session::{Command, SessionEvent, SessionSettings, start};
