//! Scratch buffers: memory for intermediate results that a thread reuses from one operation to the next.

use crate::aligned::{Aligned, Number};

/// The scratch buffers of one thread, so that intermediate results are not allocated anew for every operation.
///
/// A buffer is not cleared: it still holds values of earlier operations.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) sums: Aligned<i32>,
    pub(crate) bytes: Aligned<i8>,
    pub(crate) unsigned: Aligned<u8>,
    pub(crate) half: Aligned<u16>,
    pub(crate) block: Aligned<f32>,
    pub(crate) block2: Aligned<f32>,
}

/// Returns the first `length` elements of a scratch buffer. Grows the buffer if it is shorter. Old contents are not
/// cleared.
pub(crate) fn scratch_of<T: Number>(buffer: &mut Aligned<T>, length: usize) -> &mut [T] {
    if buffer.len() < length {
        buffer.resize(length);
    }
    &mut buffer[..length]
}
