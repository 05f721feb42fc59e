//! Amanuensis engine.
