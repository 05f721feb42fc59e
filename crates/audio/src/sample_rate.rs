//! The sample rate of the output of this crate.

/// The sample rate in Hz of all samples that this crate returns.
pub const SAMPLE_RATE: u32 = 16_000;
