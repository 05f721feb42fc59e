//! Faults that tests inject, and counters.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::driver::errno;
use crate::launch::Counters;

/// A fault that the fake device can simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no device.
    Absent,
    /// No permission to open the device file.
    Forbidden,
    /// Querying the device fails.
    NoInfo,
    /// The heap cannot be locked in memory.
    MemoryLock,
    /// Out of memory for a buffer.
    OutOfMemory,
    /// The heap is full.
    HeapFull,
    /// No free context.
    NoContext,
    /// The firmware refuses the design.
    BadDesign,
    /// A synchronisation fails.
    SyncFails,
    /// A command is refused.
    Refused,
    /// A command never finishes.
    Hangs,
    /// The driver reports a timeout of a command.
    CommandTimeout,
    /// A command finishes with an error.
    CommandError,
    /// A command is aborted.
    CommandAborted,
    /// The firmware does not respond to a command.
    NoResponse,
    /// The device disappears.
    Gone,
    /// One bit of a result is wrong, without any error.
    FlippedBit,
}

/// The operations in which faults can occur.
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
    /// All faults.
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

/// Control handle of a fake device: counters and faults. Clones control the same device.
#[derive(Clone, Debug, Default)]
pub struct Controls(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    counters: Counters,
    fault: Option<(Fault, u64)>,
    is_gone: bool,
}

impl Controls {
    /// Injects a fault that occurs once, after its operation has succeeded `after` times.
    pub fn inject(&self, fault: Fault, after: u64) {
        self.inner().fault = Some((fault, after));
    }

    /// Counts of what the device was asked to do so far.
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

    /// Returns the injected fault if it occurs at this operation now, otherwise `None`.
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
