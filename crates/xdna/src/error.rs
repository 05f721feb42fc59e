//! Errors of an NPU. Their messages advise the user.

use std::path::PathBuf;
use std::time::Duration;

use crate::driver::{Call, Failure, HEAP_SIZE, errno};
use crate::packet::CommandState;

/// Why an NPU cannot be used, or why an operation on it failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine has no NPU.
    #[error(
        "there is no AMD NPU in this machine, or its driver is not loaded: no /dev/accel/accel* belongs to amdxdna"
    )]
    NoDevice,
    /// The machine has an NPU, but no driver is bound to it.
    #[error(
        "there is an AMD NPU ({id}), but no driver for it: `sudo modprobe amdxdna`, or install Linux 6.14 or later, and \
         see that the NPU (IPU) is not switched off in the firmware setup"
    )]
    NoDriver {
        /// The PCI id of the NPU.
        id: String,
    },
    /// The operating system is not Linux.
    #[error("AMD NPUs can be used on Linux only")]
    NotLinux,
    /// This process may not open the device file.
    #[error(
        "no permission to open {}: add your user to the group of that file, `sudo usermod -aG render $USER`, and log in \
         again",
        path.display()
    )]
    Permission {
        /// The device file.
        path: PathBuf,
    },
    /// The device file cannot be opened for another reason.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The device file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The driver must lock the device heap in memory, but this process may not lock that much memory.
    #[error(
        "the limit of locked memory is too small for the NPU's heap of {} MiB: raise it, `ulimit -l unlimited` or \
         `memlock` in /etc/security/limits.conf",
        HEAP_SIZE >> 20
    )]
    MemoryLock,
    /// All hardware contexts are in use, so no further one can be created.
    #[error("all hardware contexts of the NPU are in use: close other programs that use it")]
    NoContext,
    /// A command did not finish within the timeout.
    #[error("the NPU has not answered for {} s: its firmware may be stuck; `sudo modprobe -r amdxdna`, then `sudo modprobe amdxdna`", .0.as_secs_f64())]
    Timeout(Duration),
    /// A command ended with an error.
    #[error("command {index} of a batch ended in the state {state} on the NPU")]
    Command {
        /// The final state of the command.
        state: CommandState,
        /// The index of the failed command in its chain; 0 for a single command.
        index: u32,
    },
    /// The driver returned an error that no other variant describes.
    #[error("{failure}: {meaning}")]
    Refused {
        /// The operation and the error number.
        failure: Failure,
        /// The meaning of the error number for this operation.
        meaning: &'static str,
    },
    /// The design (the compiled program for the NPU) cannot be used.
    #[error("the NPU design in {} cannot be used: {problem}", directory.display())]
    Design {
        /// The directory of the design.
        directory: PathBuf,
        /// What is wrong with the design.
        problem: String,
    },
    /// The design is built for another type of NPU.
    #[error("the NPU design is for {design}, and this device is {device}: build it for {device}, see docs/npu.md")]
    OtherTarget {
        /// The type of NPU that the design is built for.
        design: &'static str,
        /// The type of NPU in this machine.
        device: String,
    },
    /// The device computed a wrong product.
    #[error(
        "{wrong} of {elements} elements are wrong: the device does not compute the product that its design describes"
    )]
    Wrong {
        /// Number of wrong elements of the product.
        wrong: usize,
        /// Number of all elements of the product.
        elements: usize,
    },
    /// A byte range lies outside of its buffer, or begins at an offset that is not a multiple of four.
    #[error("{length} bytes at offset {offset} are outside of a buffer of {size} bytes")]
    Range {
        /// Start of the range in bytes.
        offset: usize,
        /// Length of the range in bytes.
        length: usize,
        /// The size of the buffer in bytes.
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
