//! Launches, their operands in buffers, and counters of what a device was asked to do.

/// A buffer of a device, by its handle. An unknown handle is refused when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Buffer(pub u32);

/// The position at which an operand begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The buffer.
    pub buffer: Buffer,
    /// Offset in bytes from the start of the buffer. For an NPU it must be a multiple of four.
    pub offset: usize,
}

/// One run of a device's kernel, `c = a x b`. Operands are row-major, not transposed, in the kernel's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The left matrix `(rows, depths)`.
    pub a: Location,
    /// The right matrix `(depths, columns)`.
    pub b: Location,
    /// The result `(rows, columns)`. It overlaps neither operand.
    pub c: Location,
}

/// A submission, identified by its number. For a kernel driver, the number is a point on the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Counts of what a device was asked to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Number of synchronisations, in both directions.
    pub syncs: u64,
    /// Number of bytes synchronised to the device.
    pub bytes_to_device: u64,
    /// Number of bytes synchronised from the device.
    pub bytes_from_device: u64,
    /// Number of submissions.
    pub submissions: u64,
    /// Number of runs of the kernel.
    pub launches: u64,
    /// Number of waits.
    pub waits: u64,
}
