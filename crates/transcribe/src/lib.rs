//! Amanuensis transcribe.
