//! A software model of the NPU and its driver, for development without hardware. It enforces the driver's rules,
//! computes products only from the bytes of buffers and commands, counts operations, and injects faults on request.
//!
//! `memory` holds the bytes that host and device see, `queue` holds the contexts and their commands, and `array`
//! multiplies like the NPU's array of cores. The model does not cover time, power, or the correctness of a real
//! design: these require hardware.

mod array;
mod fault;
mod memory;
mod queue;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::time::Duration;

pub use fault::{Controls, Fault};

use crate::driver::{BufferKind, BufferObject, Call, ComputeUnit, Context, Direction, Driver, Failure, Info, errno};
use crate::error::Error;
use crate::target::Target;
use fault::Point;
use memory::Memory;
use queue::Queue;

/// A software model of an NPU and its driver.
#[derive(Debug)]
pub struct Fake {
    target: Target,
    memory: Memory,
    queue: Queue,
    controls: Controls,
}

impl Fake {
    /// Creates a device of the generation `target`, for a process that may lock `memory_lock` bytes of memory.
    pub fn new(target: Target, memory_lock: usize) -> Self {
        let controls = Controls::default();
        Self { target, memory: Memory::new(memory_lock), queue: Queue::new(target), controls }
    }

    /// Creates a fake device as if a program opened its device file. Unlike [`Self::new`], this fails if a fault that
    /// concerns opening was injected.
    pub fn open(target: Target, controls: &Controls) -> Result<Self, Error> {
        let path = std::path::PathBuf::from("/dev/accel/accel0");
        match controls.strike(Point::Open) {
            Some(Fault::Absent) => Err(Error::NoDevice),
            Some(_) => Err(Error::Permission { path }),
            None => Ok(Self { controls: controls.clone(), ..Self::new(target, usize::MAX) }),
        }
    }

    /// Returns a handle with which tests read the counters of this device and inject faults.
    pub fn controls(&self) -> Controls {
        self.controls.clone()
    }

    /// Counts one execution of the operation `point`. Returns an error if an injected fault occurs now, or if the
    /// device has disappeared.
    fn check_fault(&self, call: Call, point: Point) -> Result<(), Failure> {
        if self.controls.is_gone() {
            return Err(Failure::new(call, errno::NODEV));
        }
        self.controls.strike(point).map_or(Ok(()), |fault| Err(Failure::new(call, fault.errno())))
    }
}

impl Driver for Fake {
    fn info(&mut self) -> Result<Info, Failure> {
        self.check_fault(Call::Info, Point::Info)?;
        Ok(Info {
            // In the first generation, the array has a fifth column without access to memory. Designs do not use it.
            columns: if self.target == Target::Npu1 { 5 } else { 8 },
            core_rows: self.target.core_rows(),
            array_version: if self.target == Target::Npu1 { (1, 0) } else { (2, 0) },
            firmware: None,
        })
    }

    fn create_buffer(&mut self, kind: BufferKind, size: usize) -> Result<BufferObject, Failure> {
        let (call, point) = match kind {
            BufferKind::Heap => (Call::CreateHeap, Point::CreateHeap),
            BufferKind::Device => (Call::CreateDeviceBuffer, Point::CreateDeviceBuffer),
            BufferKind::Data | BufferKind::Command => (Call::CreateBuffer, Point::CreateBuffer),
        };
        self.check_fault(call, point)?;
        self.memory.create(kind, size, call)
    }

    fn close_buffer(&mut self, handle: u32) -> Result<(), Failure> {
        self.memory.close(handle)
    }

    fn bytes(&self, handle: u32) -> Result<&[u8], Failure> {
        self.memory.host(handle)
    }

    fn bytes_mut(&mut self, handle: u32) -> Result<&mut [u8], Failure> {
        self.memory.host_mut(handle)
    }

    fn sync(&mut self, handle: u32, direction: Direction, range: Range<usize>) -> Result<(), Failure> {
        self.check_fault(Call::Sync, Point::Sync)?;
        let bytes = range.len() as u64;
        self.memory.sync(handle, direction, range)?;
        self.controls.count(|counters| {
            counters.syncs += 1;
            match direction {
                Direction::ToDevice => counters.bytes_to_device += bytes,
                Direction::FromDevice => counters.bytes_from_device += bytes,
            }
        });
        Ok(())
    }

    fn create_context(&mut self, tiles: u32) -> Result<Context, Failure> {
        self.check_fault(Call::CreateContext, Point::CreateContext)?;
        if !self.memory.has_heap() {
            return Err(Failure::new(Call::CreateContext, errno::NOENT));
        }
        self.queue.create_context(tiles)
    }

    fn configure(&mut self, context: Context, units: &[ComputeUnit]) -> Result<(), Failure> {
        self.check_fault(Call::Configure, Point::Configure)?;
        self.queue.configure(context, units, &self.memory)
    }

    fn execute(&mut self, context: Context, command: u32, arguments: &[u32]) -> Result<u64, Failure> {
        self.check_fault(Call::Execute, Point::Execute)?;
        let point = self.queue.submit(context, command, arguments, &mut self.memory, &self.controls)?;
        self.controls.count(|counters| counters.submissions += 1);
        Ok(point)
    }

    fn wait(&mut self, context: Context, point: u64, timeout: Duration) -> Result<(), Failure> {
        // The fake has no clock: a command that would never finish times out at once.
        let _ = timeout;
        self.check_fault(Call::Wait, Point::Wait)?;
        self.controls.count(|counters| counters.waits += 1);
        self.queue.wait(context, point, &mut self.memory, &self.controls)
    }

    fn destroy_context(&mut self, context: Context) -> Result<(), Failure> {
        self.queue.destroy_context(context)
    }
}
