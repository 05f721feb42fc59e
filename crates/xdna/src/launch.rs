//! Launches (runs of a device's kernel), the buffers with their matrices, and counts of what a device was asked to
//! do.

/// A buffer of a device, identified by its handle. If the handle is unknown to the device, operations on the buffer
/// fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Buffer(pub u32);

/// The position at which a matrix begins: a buffer, and an offset in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The buffer that contains the matrix.
    pub buffer: Buffer,
    /// Number of bytes from the start of the buffer to the matrix. For an NPU it must be a multiple of four.
    pub offset: usize,
}

/// One run of a device's kernel, which computes `c = a x b`. The matrices have the shapes for which the kernel is
/// built. They are row-major and not transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The left matrix `(rows, depths)`.
    pub a: Location,
    /// The right matrix `(depths, columns)`.
    pub b: Location,
    /// The result `(rows, columns)`. It overlaps neither operand.
    pub c: Location,
}

/// Identifies a submission of launches (runs of the kernel) by a number, which is passed to the function that waits.
/// For a kernel driver, the number is a point on the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Counts of what a device was asked to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Number of synchronisations of buffers, in both directions.
    pub syncs: u64,
    /// Number of bytes synchronised to the device.
    pub bytes_to_device: u64,
    /// Number of bytes synchronised from the device.
    pub bytes_from_device: u64,
    /// Number of submissions, each of one or more launches.
    pub submissions: u64,
    /// Number of launches (runs of the kernel).
    pub launches: u64,
    /// Number of times the host waited for submissions.
    pub waits: u64,
}
