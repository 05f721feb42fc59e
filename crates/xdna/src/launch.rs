//! What a device is asked to do: launches, which take their operands from buffers, and what became of them.

/// A buffer of a device, by a handle of its own, as drivers have it. One that the device does not know is refused when it
/// is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Buffer(pub u32);

/// Where an operand begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The buffer.
    pub buffer: Buffer,
    /// Bytes from its start; for an NPU, a multiple of four.
    pub offset: usize,
}

/// One run of a device's kernel, `c = a x b`: operands in rows, none transposed, as large as the kernel has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The left matrix: rows, depths.
    pub a: Place,
    /// The right matrix: depths, columns.
    pub b: Place,
    /// Where the result goes: rows, columns. It overlaps neither of the others.
    pub c: Place,
}

/// A submission, by its number; a place on a driver's timeline serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What a device was asked to do so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Synchronisations, either direction.
    pub syncs: u64,
    /// Bytes that were synchronised to the device.
    pub bytes_to_device: u64,
    /// Bytes that were synchronised from the device.
    pub bytes_from_device: u64,
    /// Submissions.
    pub submissions: u64,
    /// Runs of the kernel.
    pub launches: u64,
    /// Waits.
    pub waits: u64,
}
