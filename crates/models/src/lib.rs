//! Amanuensis models.
