//! What can be made to go wrong, and what was counted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::driver::errno;
use crate::launch::Counters;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no device.
    Absent,
    /// The device file may not be opened.
    Forbidden,
    /// The device does not describe itself.
    NoInfo,
    /// The heap may not be locked in memory.
    MemoryLock,
    /// No memory for a buffer.
    OutOfMemory,
    /// No room in the heap.
    HeapFull,
    /// No context is left.
    NoContext,
    /// The firmware does not take the design.
    BadDesign,
    /// A synchronisation fails.
    SyncFails,
    /// A command is not taken.
    Refused,
    /// A command is never done.
    Hangs,
    /// The driver gives up on a command.
    CommandTimeout,
    /// A command ends in an error.
    CommandError,
    /// A command is aborted.
    CommandAborted,
    /// The firmware does not answer a command.
    NoResponse,
    /// The device is taken away.
    Gone,
    /// A bit of a result is wrong, and nobody says so.
    FlippedBit,
}

/// Where something can go wrong.
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
    /// All there are.
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

    /// The number that the driver gives for it.
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

/// The handle of a fake device: what was asked of it, and what is to go wrong. Clones are of the same device.
#[derive(Clone, Debug, Default)]
pub struct Controls(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    counters: Counters,
    fault: Option<(Fault, u64)>,
    is_gone: bool,
}

impl Controls {
    /// Lets something go wrong once, after it has gone well so many times.
    pub fn inject(&self, fault: Fault, after: u64) {
        self.inner().fault = Some((fault, after));
    }

    /// What was asked so far.
    pub fn counters(&self) -> Counters {
        self.inner().counters
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Numbers are valid between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut self.inner().counters);
    }

    pub(super) fn is_gone(&self) -> bool {
        self.inner().is_gone
    }

    /// The fault that strikes at this point, now.
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
