//! Faults that tests inject into the fake device, and counts of what it was asked to do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::driver::errno;
use crate::launch::Counters;

/// A fault that the fake device can simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no device.
    Absent,
    /// The process may not open the device file.
    Forbidden,
    /// Querying the device fails.
    NoInfo,
    /// The heap cannot be locked in memory.
    MemoryLock,
    /// There is not enough memory for a data or command buffer.
    OutOfMemory,
    /// The heap has no space for a device buffer.
    HeapFull,
    /// All hardware contexts are in use.
    NoContext,
    /// The firmware refuses the design (the compiled program for the NPU).
    BadDesign,
    /// A synchronisation fails.
    SyncFails,
    /// The driver refuses to queue a command.
    Refused,
    /// A command never finishes.
    Hangs,
    /// A command ends in the state "timed out".
    CommandTimeout,
    /// A command ends in the state "error".
    CommandError,
    /// A command ends in the state "aborted".
    CommandAborted,
    /// A command ends in the state "no response", because the firmware does not answer.
    NoResponse,
    /// The device disappears while the host waits for a command.
    Gone,
    /// A command succeeds, but one bit of its result is wrong.
    FlippedBit,
}

/// The operations of the fake device that an injected fault can make fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    Open,
    Info,
    CreateHeap,
    CreateBuffer,
    CreateDeviceBuffer,
    CreateContext,
    Configure,
    Sync,
    Execute,
    Wait,
    Launch,
}

impl Fault {
    /// All faults that the fake device can simulate.
    pub const ALL: [Self; 17] = [
        Self::Absent,
        Self::Forbidden,
        Self::NoInfo,
        Self::MemoryLock,
        Self::OutOfMemory,
        Self::HeapFull,
        Self::NoContext,
        Self::BadDesign,
        Self::SyncFails,
        Self::Refused,
        Self::Hangs,
        Self::CommandTimeout,
        Self::CommandError,
        Self::CommandAborted,
        Self::NoResponse,
        Self::Gone,
        Self::FlippedBit,
    ];

    fn point(self) -> Point {
        match self {
            Self::Absent | Self::Forbidden => Point::Open,
            Self::NoInfo => Point::Info,
            Self::MemoryLock => Point::CreateHeap,
            Self::OutOfMemory => Point::CreateBuffer,
            Self::HeapFull => Point::CreateDeviceBuffer,
            Self::NoContext => Point::CreateContext,
            Self::BadDesign => Point::Configure,
            Self::SyncFails => Point::Sync,
            Self::Refused => Point::Execute,
            Self::Hangs | Self::Gone => Point::Wait,
            Self::CommandTimeout | Self::CommandError | Self::CommandAborted | Self::NoResponse | Self::FlippedBit => {
                Point::Launch
            }
        }
    }

    /// The error number that the driver returns for this fault.
    pub(super) fn errno(self) -> i32 {
        match self {
            Self::MemoryLock => errno::AGAIN,
            Self::OutOfMemory => errno::NOMEM,
            Self::HeapFull | Self::NoContext => errno::NOSPC,
            Self::BadDesign => errno::INVAL,
            Self::Hangs => errno::TIME,
            Self::Gone | Self::NoInfo => errno::NODEV,
            _ => errno::IO,
        }
    }
}

/// Gives tests access to the counters and the injected fault of a fake device. All clones refer to the same device.
#[derive(Clone, Debug, Default)]
pub struct Controls(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    counters: Counters,
    fault: Option<(Fault, u64)>,
    is_gone: bool,
}

impl Controls {
    /// Injects a fault, which occurs once: the operation that it affects succeeds `after` more times and then fails.
    /// An earlier fault that has not occurred yet is dropped.
    pub fn inject(&self, fault: Fault, after: u64) {
        self.inner().fault = Some((fault, after));
    }

    /// Returns the counts of what the device was asked to do so far.
    pub fn counters(&self) -> Counters {
        self.inner().counters
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // The state is valid after every statement, so it can be used even if a panic poisoned the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut self.inner().counters);
    }

    pub(super) fn is_gone(&self) -> bool {
        self.inner().is_gone
    }

    /// Returns the injected fault if it occurs in this execution of the operation `point`, otherwise `None`. Each
    /// call counts as one execution, and a fault that has occurred is removed.
    pub(super) fn strike(&self, point: Point) -> Option<Fault> {
        let mut inner = self.inner();
        let (fault, after) = inner.fault.filter(|(fault, _)| fault.point() == point)?;
        inner.fault = after.checked_sub(1).map(|after| (fault, after));
        if inner.fault.is_some() {
            return None;
        }
        inner.is_gone |= fault == Fault::Gone;
        Some(fault)
    }
}
