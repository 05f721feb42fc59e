//! What can go wrong with an NPU, and what a user can do about it.

use std::path::PathBuf;
use std::time::Duration;

use crate::driver::{Call, Failure, HEAP_SIZE, errno};
use crate::packet::CommandState;

/// Why an NPU cannot be used, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine has none.
    #[error(
        "there is no AMD NPU in this machine, or its driver is not loaded: no /dev/accel/accel* belongs to amdxdna"
    )]
    NoDevice,
    /// The machine has one, but nothing drives it.
    #[error(
        "there is an AMD NPU ({id}), but no driver for it: `sudo modprobe amdxdna`, or install Linux 6.14 or later, and \
         see that the NPU (IPU) is not switched off in the firmware setup"
    )]
    NoDriver {
        /// Its PCI id.
        id: String,
    },
    /// Elsewhere than on Linux.
    #[error("AMD NPUs can be used on Linux only")]
    NotLinux,
    /// The device file may not be opened.
    #[error(
        "no permission to open {}: add your user to the group of that file, `sudo usermod -aG render $USER`, and log in \
         again",
        path.display()
    )]
    Permission {
        /// The file.
        path: PathBuf,
    },
    /// The device file cannot be opened for another reason.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The heap has to stay in memory, and may not.
    #[error(
        "the limit of locked memory is too small for the NPU's heap of {} MiB: raise it, `ulimit -l unlimited` or \
         `memlock` in /etc/security/limits.conf",
        HEAP_SIZE >> 20
    )]
    MemoryLock,
    /// All contexts are taken.
    #[error("all hardware contexts of the NPU are in use: close other programs that use it")]
    NoContext,
    /// A command did not end.
    #[error("the NPU has not answered for {} s: its firmware may be stuck; `sudo modprobe -r amdxdna`, then `sudo modprobe amdxdna`", .0.as_secs_f64())]
    Timeout(Duration),
    /// A command ended badly.
    #[error("command {index} of a batch ended in the state {state} on the NPU")]
    Command {
        /// How it ended.
        state: CommandState,
        /// Its place in its chain.
        index: u32,
    },
    /// Something else that the driver refused.
    #[error("{failure}: {meaning}")]
    Refused {
        /// What, and its number.
        failure: Failure,
        /// What it means, of this call.
        meaning: &'static str,
    },
    /// A design that is not what it should be.
    #[error("the NPU design in {} cannot be used: {problem}", directory.display())]
    Design {
        /// Where it is.
        directory: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A design for another device.
    #[error("the NPU design is for {design}, and this device is {device}: build it for {device}, see docs/npu.md")]
    OtherTarget {
        /// What the design is for.
        design: &'static str,
        /// What is here.
        device: String,
    },
    /// A product that is not what the host computes.
    #[error("{wrong} of {elements} elements are wrong: the device does not compute what its design says")]
    Wrong {
        /// How many.
        wrong: usize,
        /// Of how many.
        elements: usize,
    },
    /// A request that makes no sense of the buffers that there are.
    #[error("a range of {length} bytes from {offset} does not lie in a buffer of {size}")]
    Range {
        /// Where it begins.
        offset: usize,
        /// How long it is.
        length: usize,
        /// The size of the buffer.
        size: usize,
    },
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let refused = |meaning| Self::Refused { failure, meaning };
        match (failure.call, failure.errno) {
            (Call::Map | Call::CreateHeap, errno::AGAIN | errno::PERM) => Self::MemoryLock,
            (Call::CreateContext, errno::NOENT) => refused("a context needs the device heap, and there is none"),
            (Call::CreateContext, errno::NOSPC | errno::BUSY) => Self::NoContext,
            (Call::CreateDeviceBuffer, errno::INVAL) => refused("there is no device heap, or the size makes no sense"),
            (Call::CreateDeviceBuffer, errno::NOSPC | errno::NOMEM) => refused("the device heap is full"),
            (Call::CreateBuffer | Call::CreateHeap, errno::NOMEM) => refused("there is not enough memory"),
            (Call::CreateBuffer | Call::CreateHeap, errno::INVAL) => {
                refused("the size is not one that the driver gives")
            }
            (Call::Sync, errno::INVAL) => refused("the range does not lie in the buffer"),
            (Call::Configure, errno::INVAL) => refused("the context has a design already, or this is none"),
            (Call::Execute, errno::ALREADY) => refused("a buffer is named twice"),
            (Call::Execute, errno::INVAL) => refused("the command is malformed, or its context has no design"),
            (Call::Execute, errno::OPNOTSUPP) => refused("the command is of a kind that the driver does not know"),
            (Call::Wait, errno::INVAL) => refused("there is no such command"),
            (_, errno::NODEV) => refused("the device is gone"),
            (_, errno::NOENT) => refused("there is no such buffer"),
            _ => refused("unexpectedly"),
        }
    }
}
