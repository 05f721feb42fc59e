//! The trait that devices for the multiplication of tiles implement.

use std::error::Error;
use std::ops::Range;

use amanuensis_kernels::tile::TileSize;

use crate::driver::Direction;
use crate::launch::{Buffer, Counters, Launch, Ticket};

/// A device that multiplies tiles of one size. A launch (one run of the device's kernel) computes
/// `c = clamp((a x b) >> 7, -128, 127)` on int8 tiles `(t, t)`, row-major, with a row stride of t bytes.
///
/// Host and device see separate bytes for each buffer. [`Self::sync`] towards the device makes visible what the host
/// wrote through [`Self::host_mut`]. [`Self::sync`] towards the host, after the [`Self::wait`] for a submission,
/// makes visible in [`Self::host`] what the launches wrote. Between `submit` and `wait`, the host must not touch
/// those parts of buffers that the submission uses. Meanwhile, other parts and buffers may be written, synchronised
/// and submitted.
///
/// An implementation for a kernel driver maps the methods as follows: `allocate` creates and maps a buffer object,
/// `host` and `host_mut` return the mapping, `sync` synchronises a range, `submit` executes a command buffer (or a
/// chain of them), and `wait` waits for the timeline point whose number is the ticket.
pub trait TileDevice {
    /// The error type of the device. After an error, the contents of buffers and the state of submissions are
    /// undefined.
    type Error: Error + Send + Sync + 'static;

    /// The size of the tiles that the device's kernel multiplies.
    fn tile(&self) -> TileSize;

    /// Creates a buffer of `bytes` bytes, which are zero for both host and device.
    fn allocate(&mut self, bytes: usize) -> Result<Buffer, Self::Error>;

    /// Closes a buffer. The caller must not close a buffer that a pending submission uses.
    fn free(&mut self, buffer: Buffer) -> Result<(), Self::Error>;

    /// All bytes of a buffer as the host sees them.
    fn host(&self, buffer: Buffer) -> Result<&[i8], Self::Error>;

    /// All bytes of a buffer as the host sees them, for writing.
    fn host_mut(&mut self, buffer: Buffer) -> Result<&mut [i8], Self::Error>;

    /// Makes the bytes of a range that one side (host or device) wrote visible to the other side.
    fn sync(&mut self, buffer: Buffer, range: Range<usize>, direction: Direction) -> Result<(), Self::Error>;

    /// Queues launches (at least one) after all that are already queued. Does not wait for them. The launches of one
    /// submission must not depend on each other, because they may run in any order.
    fn submit(&mut self, launches: &[Launch]) -> Result<Ticket, Self::Error>;

    /// Waits until the submission `ticket` and all earlier ones have finished.
    fn wait(&mut self, ticket: Ticket) -> Result<(), Self::Error>;

    /// Counts of what the device was asked to do since it was created.
    fn counters(&self) -> Counters;
}
