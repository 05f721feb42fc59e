//! The trait through which an NPU is used, implemented by the kernel driver ([`Ioctl`](crate::Ioctl)) and by a
//! software model ([`Fake`](crate::Fake)).

use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// Size of the device heap in bytes (64 MiB). It is mapped at an address that is a multiple of this size.
pub const HEAP_SIZE: usize = 64 << 20;

/// The operations of the driver `amdxdna`, one method for each ioctl that this crate uses.
///
/// The driver has these rules. A heap must exist before any context is created. A context is configured only once. A
/// command may access only the buffers that [`Self::execute`] lists. [`Self::sync`] makes host writes to a range
/// visible to the device, or device writes visible to the host. Command buffers need no synchronisation, because the
/// kernel reads them directly.
pub trait Driver: Send {
    /// Describes the device.
    fn info(&mut self) -> Result<Info, Failure>;

    /// Creates a buffer of `size` bytes, filled with zeros and mapped into the process.
    fn create_buffer(&mut self, kind: BufferKind, size: usize) -> Result<BufferObject, Failure>;

    /// Closes a buffer. The caller must not close a buffer that a pending command uses.
    fn close_buffer(&mut self, handle: u32) -> Result<(), Failure>;

    /// The bytes of a buffer as the host sees them. The caller must not read bytes that a pending command may write.
    fn bytes(&self, handle: u32) -> Result<&[u8], Failure>;

    /// The bytes of a buffer as the host sees them, for writing.
    fn bytes_mut(&mut self, handle: u32) -> Result<&mut [u8], Failure>;

    /// Makes what one side wrote to a range of a buffer (in bytes) visible to the other side: to the device or to the
    /// host.
    fn sync(&mut self, handle: u32, direction: Direction, range: Range<usize>) -> Result<(), Failure>;

    /// Creates a hardware context that uses `tiles` core tiles of the array.
    fn create_context(&mut self, tiles: u32) -> Result<Context, Failure>;

    /// Loads a design (a compiled program for the NPU) into a context. Each compute unit of the design names the
    /// buffer that holds its image.
    fn configure(&mut self, context: Context, units: &[ComputeUnit]) -> Result<(), Failure>;

    /// Queues the command that is stored in the buffer `command`. `arguments` lists each buffer that the command
    /// accesses, without repetition. Returns a point of the context's timeline, which is reached when the command has
    /// finished.
    fn execute(&mut self, context: Context, command: u32, arguments: &[u32]) -> Result<u64, Failure>;

    /// Waits until the command with this timeline point has finished, successfully or not. Its final state is then in
    /// the header of its command buffer. If `timeout` passes before, returns an error.
    fn wait(&mut self, context: Context, point: u64, timeout: Duration) -> Result<(), Failure>;

    /// Destroys a context.
    fn destroy_context(&mut self, context: Context) -> Result<(), Failure>;
}

/// Description of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Number of columns of the array.
    pub columns: u16,
    /// Number of core tiles in a column.
    pub core_rows: u16,
    /// The version of the array hardware: major and minor number.
    pub array_version: (u32, u32),
    /// The firmware version, or `None` if the device does not report it.
    pub firmware: Option<[u32; 4]>,
}

/// What a buffer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferKind {
    /// Data of matrices, in the memory of the process.
    Data,
    /// The memory from which [`Self::Device`] buffers are allocated. A process has one heap.
    Heap,
    /// Images of designs (compiled programs), and instructions. Such a buffer is a part of the heap.
    Device,
    /// A command buffer.
    Command,
}

impl BufferKind {
    /// The driver's number for this kind of buffer.
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
    /// The address at which the device accesses the buffer.
    pub address: u64,
}

/// A hardware context: a share of the array, with a queue of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The handle that identifies the context in driver calls.
    pub handle: u32,
    /// The handle of the syncobj whose timeline points show which commands of the context have finished.
    pub timeline: u32,
}

/// A compute unit of a design: a kernel that the array can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComputeUnit {
    /// The handle of the buffer that holds the PDI (the image that configures the array).
    pub buffer: u32,
    /// The function number of the kernel, as given in the xclbin file.
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

/// Linux error numbers that the driver returns.
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

/// The driver operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Querying the properties of the device.
    Info,
    /// Creating a buffer for data or for a command.
    CreateBuffer,
    /// Creating the heap.
    CreateHeap,
    /// Creating a device buffer.
    CreateDeviceBuffer,
    /// Mapping a buffer.
    Map,
    /// Using a buffer whose handle the driver does not know.
    Buffer,
    /// Synchronising a buffer.
    Sync,
    /// Creating a context.
    CreateContext,
    /// Loading a design (the NPU's program) into a context.
    Configure,
    /// Queueing a command.
    Execute,
    /// Waiting for a command.
    Wait,
    /// Destroying a context, or closing a buffer.
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
    /// The operation that failed.
    pub call: Call,
    /// The Linux error number.
    pub errno: i32,
}

impl Failure {
    pub(crate) fn new(call: Call, errno: i32) -> Self {
        Self { call, errno }
    }
}
