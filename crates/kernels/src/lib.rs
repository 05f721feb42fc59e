//! Amanuensis kernels.
