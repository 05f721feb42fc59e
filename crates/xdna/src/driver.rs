//! The seam between what is asked of an NPU and who answers: the kernel ([`Ioctl`](crate::Ioctl)) or a model of it
//! ([`Fake`](crate::Fake)).

use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// The device heap: 64 MiB, mapped at a multiple of its size.
pub const HEAP_SIZE: usize = 64 << 20;

/// What the driver `amdxdna` can be asked, one method for each ioctl that this crate uses.
///
/// The rules are the driver's: a heap comes before any context, a context takes its design once, and a command only the
/// buffers that it names. What the host wrote reaches the device with a [`Self::sync`] that covers it, and the other way
/// round; commands are the exception, the kernel reads them where they are.
pub trait Driver: Send {
    /// What kind of device this is.
    fn info(&mut self) -> Result<Info, Failure>;

    /// A new buffer, all zero, mapped.
    fn create_buffer(&mut self, kind: BufferKind, size: usize) -> Result<BufferObject, Failure>;

    /// Gives a buffer back. No command that names it is under way.
    fn close_buffer(&mut self, handle: u32) -> Result<(), Failure>;

    /// The host's view of a buffer. Not to be looked at where a command that is under way writes.
    fn bytes(&self, handle: u32) -> Result<&[u8], Failure>;

    /// The same, to write.
    fn bytes_mut(&mut self, handle: u32) -> Result<&mut [u8], Failure>;

    /// Makes a range of a buffer visible to the other side.
    fn sync(&mut self, handle: u32, direction: Direction, range: Range<usize>) -> Result<(), Failure>;

    /// A context of so many core tiles.
    fn create_context(&mut self, tiles: u32) -> Result<Context, Failure>;

    /// Loads a design into a context, a buffer for each compute unit.
    fn configure(&mut self, context: Context, units: &[ComputeUnit]) -> Result<(), Failure>;

    /// Queues the command in a buffer; `arguments` are all buffers that it makes the device touch, each once. Gives its
    /// place on the context's timeline.
    fn execute(&mut self, context: Context, command: u32, arguments: &[u32]) -> Result<u64, Failure>;

    /// Waits until a command has ended, one way or another; its own header says how.
    fn wait(&mut self, context: Context, point: u64, timeout: Duration) -> Result<(), Failure>;

    /// Ends a context.
    fn destroy_context(&mut self, context: Context) -> Result<(), Failure>;
}

/// A device, as it describes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Columns of the array.
    pub columns: u16,
    /// Core tiles of a column.
    pub core_rows: u16,
    /// The version of the array, major and minor.
    pub array_version: (u32, u32),
    /// The firmware, where it tells.
    pub firmware: Option<[u32; 4]>,
}

/// What a buffer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferKind {
    /// Data, in memory of the process.
    Data,
    /// The memory that device buffers are cut from; once for a process.
    Heap,
    /// Designs and instructions, in the heap.
    Device,
    /// A command.
    Command,
}

impl BufferKind {
    /// The driver's number for it.
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

/// A buffer of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferObject {
    /// Its name in calls.
    pub handle: u32,
    /// Where the device sees it.
    pub address: u64,
}

/// A context of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its name in calls.
    pub handle: u32,
    /// Its timeline.
    pub timeline: u32,
}

/// A compute unit of a design.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComputeUnit {
    /// The buffer with its PDI.
    pub buffer: u32,
    /// Its function, by the xclbin.
    pub function: u8,
}

/// Which way bytes become visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What the host wrote, to the device.
    ToDevice,
    /// What the device wrote, to the host.
    FromDevice,
}

/// The numbers of what went wrong, as Linux has them.
#[allow(missing_docs)] // The names are the documentation.
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

/// What was asked when something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Asking about the device.
    Info,
    /// Making a data or command buffer.
    CreateBuffer,
    /// Making the heap.
    CreateHeap,
    /// Making a device buffer.
    CreateDeviceBuffer,
    /// Mapping a buffer.
    Map,
    /// Naming a buffer that there is not.
    Buffer,
    /// Synchronising a buffer.
    Sync,
    /// Making a context.
    CreateContext,
    /// Loading a design.
    Configure,
    /// Queueing a command.
    Execute,
    /// Waiting for a command.
    Wait,
    /// Ending a context or giving a buffer back.
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

/// A call that the driver refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the NPU's driver would not {call} ({})", std::io::Error::from_raw_os_error(*errno))]
pub struct Failure {
    /// What was asked.
    pub call: Call,
    /// Linux's number for the reason.
    pub errno: i32,
}

impl Failure {
    pub(crate) fn new(call: Call, errno: i32) -> Self {
        Self { call, errno }
    }
}
