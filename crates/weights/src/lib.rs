//! Amanuensis weights.
