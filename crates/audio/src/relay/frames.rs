//! The frames of the relay protocol: their tags and size limits.

pub(super) const RECORDING: u8 = 0;
pub(super) const WARNING: u8 = 1;
pub(super) const SAMPLES: u8 = 2;
pub(super) const END: u8 = 3;
pub(super) const FAILURE: u8 = 4;

/// The maximum number of samples in a frame. The receiver holds a whole frame in memory, so the sender splits longer
/// blocks.
const MAX_FRAME_SAMPLES: usize = 1 << 16;

pub(super) const MAX_FRAME_BYTES: u32 = (MAX_FRAME_SAMPLES * size_of::<f32>()) as u32;

/// The maximum length of a text in bytes. Longer messages are cut; they can be long because some of them quote the
/// file.
pub(super) const MAX_TEXT_BYTES: usize = 1 << 12;
