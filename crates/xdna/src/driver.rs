//! The trait through which an NPU is used, implemented by the kernel driver ([`Ioctl`](crate::Ioctl)) and by a
//! software model ([`Fake`](crate::Fake)).

use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// Size of the device heap: 64 MiB, mapped at a multiple of its size.
pub const HEAP_SIZE: usize = 64 << 20;

/// The operations of the driver `amdxdna`, one method for each ioctl that this crate uses.
///
/// The driver has these rules. A heap must exist before any context. A context is configured once. A command may only
/// access the buffers that it names. A [`Self::sync`] of a range makes host writes visible to the device, and device
/// writes visible to the host. Command buffers need no synchronisation, because the kernel reads them directly.
pub trait Driver: Send {
    /// Describes the device.
    fn info(&mut self) -> Result<Info, Failure>;

    /// Creates a buffer, zero-filled and mapped.
    fn create_buffer(&mut self, kind: BufferKind, size: usize) -> Result<BufferObject, Failure>;

    /// Closes a buffer. No pending command may name it.
    fn close_buffer(&mut self, handle: u32) -> Result<(), Failure>;

    /// The host's view of a buffer. Do not read bytes that a pending command may write.
    fn bytes(&self, handle: u32) -> Result<&[u8], Failure>;

    /// The host's view of a buffer, for writing.
    fn bytes_mut(&mut self, handle: u32) -> Result<&mut [u8], Failure>;

    /// Makes a range of a buffer visible to the device or to the host.
    fn sync(&mut self, handle: u32, direction: Direction, range: Range<usize>) -> Result<(), Failure>;

    /// Creates a context with `tiles` core tiles.
    fn create_context(&mut self, tiles: u32) -> Result<Context, Failure>;

    /// Loads a design into a context, one buffer for each compute unit.
    fn configure(&mut self, context: Context, units: &[ComputeUnit]) -> Result<(), Failure>;

    /// Queues the command in a buffer. `arguments` are the buffers that the command accesses, each once. Returns the
    /// command's point on the context's timeline.
    fn execute(&mut self, context: Context, command: u32, arguments: &[u32]) -> Result<u64, Failure>;

    /// Waits until a command has finished, with or without an error. Its final state is then in the header of its
    /// command buffer.
    fn wait(&mut self, context: Context, point: u64, timeout: Duration) -> Result<(), Failure>;

    /// Destroys a context.
    fn destroy_context(&mut self, context: Context) -> Result<(), Failure>;
}

/// Description of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Columns of the array.
    pub columns: u16,
    /// Core tiles of a column.
    pub core_rows: u16,
    /// The version of the array, major and minor.
    pub array_version: (u32, u32),
    /// The firmware version, if the device reports it.
    pub firmware: Option<[u32; 4]>,
}

/// What a buffer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferKind {
    /// Data, in the memory of the process.
    Data,
    /// The memory from which device buffers are allocated; one per process.
    Heap,
    /// Designs and instructions, in the heap.
    Device,
    /// A command buffer.
    Command,
}

impl BufferKind {
    /// The driver's number for this type of buffer.
    #[cfg(target_os = "linux")]
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Data => 1,
            Self::Heap => 2,
            Self::Device => 3,
            Self::Command => 4,
        }
    }
}

/// A buffer object of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferObject {
    /// The handle that identifies the buffer in driver calls.
    pub handle: u32,
    /// The device address of the buffer.
    pub address: u64,
}

/// A hardware context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The handle that identifies the context in driver calls.
    pub handle: u32,
    /// The handle of the syncobj with the context's timeline.
    pub timeline: u32,
}

/// A compute unit of a design.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComputeUnit {
    /// The handle of the buffer that holds the PDI.
    pub buffer: u32,
    /// The function number from the xclbin.
    pub function: u8,
}

/// The direction of a synchronisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Host writes become visible to the device.
    ToDevice,
    /// Device writes become visible to the host.
    FromDevice,
}

/// Error numbers of Linux.
#[allow(missing_docs)] // The constants have the names that Linux uses.
pub mod errno {
    pub const PERM: i32 = 1;
    pub const NOENT: i32 = 2;
    pub const IO: i32 = 5;
    pub const AGAIN: i32 = 11;
    pub const NOMEM: i32 = 12;
    pub const BUSY: i32 = 16;
    pub const NODEV: i32 = 19;
    pub const INVAL: i32 = 22;
    pub const NOSPC: i32 = 28;
    pub const TIME: i32 = 62;
    pub const OPNOTSUPP: i32 = 95;
    pub const ALREADY: i32 = 114;
}

/// The operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Querying the device.
    Info,
    /// Creating a data or command buffer.
    CreateBuffer,
    /// Creating the heap.
    CreateHeap,
    /// Creating a device buffer.
    CreateDeviceBuffer,
    /// Mapping a buffer.
    Map,
    /// Using a buffer that does not exist.
    Buffer,
    /// Synchronising a buffer.
    Sync,
    /// Creating a context.
    CreateContext,
    /// Loading a design.
    Configure,
    /// Queueing a command.
    Execute,
    /// Waiting for a command.
    Wait,
    /// Destroying a context or closing a buffer.
    Release,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "ask about the device",
            Self::CreateBuffer => "make a buffer",
            Self::CreateHeap => "make the device heap",
            Self::CreateDeviceBuffer => "make a buffer in the device heap",
            Self::Map => "map a buffer",
            Self::Buffer => "find a buffer",
            Self::Sync => "synchronise a buffer",
            Self::CreateContext => "make a hardware context",
            Self::Configure => "load the design",
            Self::Execute => "queue a command",
            Self::Wait => "wait for a command",
            Self::Release => "give back what was used",
        })
    }
}

/// A driver call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the NPU's driver refused to {call} ({})", std::io::Error::from_raw_os_error(*errno))]
pub struct Failure {
    /// The operation.
    pub call: Call,
    /// The error number of Linux.
    pub errno: i32,
}

impl Failure {
    pub(crate) fn new(call: Call, errno: i32) -> Self {
        Self { call, errno }
    }
}
