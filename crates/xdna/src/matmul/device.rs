//! What a device must be able to do to multiply tiles.

use std::error::Error;
use std::ops::Range;

use amanuensis_kernels::tile::TileSize;

/// A buffer of a device, by a handle of its own, as drivers have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Buffer(pub u32);

/// Where a tile begins: so many bytes into a buffer. Its rows follow one another, t bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The buffer.
    pub buffer: Buffer,
    /// Bytes from its start.
    pub offset: usize,
}

/// One run of the tile kernel: `c = clamp((a x b) >> 7, -128, 127)`, three tiles of int8 in rows, none transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The left tile, `(t, t)`: rows, depths.
    pub a: Place,
    /// The right tile, `(t, t)`: depths, columns.
    pub b: Place,
    /// Where the result goes, `(t, t)`: rows, columns. It overlaps neither of the others.
    pub c: Place,
}

/// Which way bytes become visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What the host wrote, to the device.
    ToDevice,
    /// What the device wrote, to the host.
    FromDevice,
}

/// A submission, by its number; a driver's sequence number serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What a device was asked to do so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls of [`TileDevice::sync`], either direction.
    pub syncs: u64,
    /// Bytes that were synchronised to the device.
    pub bytes_to_device: u64,
    /// Bytes that were synchronised from the device.
    pub bytes_from_device: u64,
    /// Calls of [`TileDevice::submit`].
    pub submissions: u64,
    /// Runs of the tile kernel.
    pub launches: u64,
    /// Calls of [`TileDevice::wait`].
    pub waits: u64,
}

/// A device that multiplies tiles of one size.
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
