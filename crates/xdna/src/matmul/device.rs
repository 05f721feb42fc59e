//! The trait of devices that multiply tiles.

use std::error::Error;
use std::ops::Range;

use amanuensis_kernels::tile::TileSize;

use crate::driver::Direction;
use crate::launch::{Buffer, Counters, Launch, Ticket};

/// A device that multiplies tiles of one size. A launch computes `c = clamp((a x b) >> 7, -128, 127)` on int8 tiles
/// `(t, t)`, row-major, with a row stride of t bytes.
///
/// Host and device have separate views of each buffer. [`Self::sync`] towards the device makes visible what the host
/// wrote through [`Self::host_mut`]. [`Self::sync`] towards the host, after the [`Self::wait`] for a submission,
/// makes visible in [`Self::host`] what the launches wrote. Between `submit` and `wait` the host must not touch the
/// parts of buffers that the submission uses. Other parts and buffers may be written, synchronised and submitted
/// meanwhile.
///
/// For a kernel driver: `allocate` creates and maps a buffer object, `host` and `host_mut` are the mapping, `sync`
/// synchronises a range, `submit` executes a command buffer (or a chain of them), and `wait` waits for the timeline
/// point of that number.
pub trait TileDevice {
    /// The device's error. After an error, the contents of buffers and the state of submissions are undefined.
    type Error: Error + Send + Sync + 'static;

    /// The tile size of the device's kernel.
    fn tile(&self) -> TileSize;

    /// Creates a buffer of `bytes` bytes, zero-filled on both sides.
    fn allocate(&mut self, bytes: usize) -> Result<Buffer, Self::Error>;

    /// Closes a buffer. No pending submission may use it.
    fn free(&mut self, buffer: Buffer) -> Result<(), Self::Error>;

    /// The host's view of the whole buffer.
    fn host(&self, buffer: Buffer) -> Result<&[i8], Self::Error>;

    /// The host's view of a buffer, for writing.
    fn host_mut(&mut self, buffer: Buffer) -> Result<&mut [i8], Self::Error>;

    /// Makes a range of bytes that one side wrote visible to the other side.
    fn sync(&mut self, buffer: Buffer, range: Range<usize>, direction: Direction) -> Result<(), Self::Error>;

    /// Queues launches (at least one) after all queued ones, without waiting. The launches of one submission do not
    /// depend on each other and may run in any order.
    fn submit(&mut self, launches: &[Launch]) -> Result<Ticket, Self::Error>;

    /// Waits until a submission and all earlier ones have finished.
    fn wait(&mut self, ticket: Ticket) -> Result<(), Self::Error>;

    /// Counts of what the device was asked to do since it was created.
    fn counters(&self) -> Counters;
}
