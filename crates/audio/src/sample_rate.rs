//! The sample rate that the rest of the program works at.

/// The sample rate of everything that leaves this crate, in Hz.
pub const SAMPLE_RATE: u32 = 16_000;
