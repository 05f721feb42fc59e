//! Amanuensis audio.
