//! The frames of the protocol: tags and limits.

pub(super) const RECORDING: u8 = 0;
pub(super) const WARNING: u8 = 1;
pub(super) const SAMPLES: u8 = 2;
pub(super) const END: u8 = 3;
pub(super) const FAILURE: u8 = 4;

/// The receiver holds one frame in memory, so the sender splits longer blocks.
const MAX_FRAME_SAMPLES: usize = 1 << 16;

pub(super) const MAX_FRAME_BYTES: u32 = (MAX_FRAME_SAMPLES * size_of::<f32>()) as u32;

/// Longer messages are cut: some quote the file.
pub(super) const MAX_TEXT_BYTES: usize = 1 << 12;
