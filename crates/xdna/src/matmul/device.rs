//! What a device must be able to do to multiply tiles.

use std::error::Error;
use std::ops::Range;

use amanuensis_kernels::tile::TileSize;

use crate::driver::Direction;
use crate::launch::{Buffer, Counters, Launch, Ticket};

/// A device that multiplies tiles of one size: a launch is `c = clamp((a x b) >> 7, -128, 127)`, of tiles `(t, t)` of int8
/// in rows that follow one another, t bytes each.
///
/// Host and device see a buffer each in their own way: what the host writes into [`Self::host_mut`] reaches the device
/// with a [`Self::sync`] that covers it, and what a launch wrote reaches [`Self::host`] with another, after the
/// [`Self::wait`] for its submission. Between `submit` and `wait` the host leaves alone the parts of buffers that the
/// submission names; other buffers, and other parts, may be written, synchronised and submitted meanwhile.
///
/// For a kernel driver: `allocate` creates and maps a buffer object, `host` and `host_mut` are the mapping, `sync` is its
/// synchronisation of a range, `submit` one execution of a command buffer (or of a chain of them), and `wait` the wait
/// for the timeline point of that number.
pub trait TileDevice {
    /// What goes wrong on this device. After an error nothing is promised of buffers and submissions.
    type Error: Error + Send + Sync + 'static;

    /// The size of the tiles that the device's kernel multiplies.
    fn tile(&self) -> TileSize;

    /// A new buffer of `bytes` bytes, all zero on both sides.
    fn allocate(&mut self, bytes: usize) -> Result<Buffer, Self::Error>;

    /// Gives a buffer back. No submission that names it is under way.
    fn free(&mut self, buffer: Buffer) -> Result<(), Self::Error>;

    /// The host's view of a buffer: all of the bytes it was allocated with.
    fn host(&self, buffer: Buffer) -> Result<&[i8], Self::Error>;

    /// The same, to write.
    fn host_mut(&mut self, buffer: Buffer) -> Result<&mut [i8], Self::Error>;

    /// Makes a range of bytes, as one side sees them, visible to the other.
    fn sync(&mut self, buffer: Buffer, range: Range<usize>, direction: Direction) -> Result<(), Self::Error>;

    /// Queues launches, at least one, behind all that are queued already. Does not wait for them. The launches of one
    /// submission do not read what others of it write, so their order among themselves is free.
    fn submit(&mut self, launches: &[Launch]) -> Result<Ticket, Self::Error>;

    /// Waits until a submission, and with it all before it, has been carried out.
    fn wait(&mut self, ticket: Ticket) -> Result<(), Self::Error>;

    /// What was asked of the device since it was made.
    fn counters(&self) -> Counters;
}
