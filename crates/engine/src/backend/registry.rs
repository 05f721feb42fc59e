//! The list of backends.

use super::interface::Opened;
use super::{cpu, xdna};
use crate::options::{Device, DeviceOptions};

/// An entry of the list of backends.
pub(super) struct BackendEntry {
    /// The device that the backend uses.
    pub(super) device: Device,
    /// The function that opens the backend.
    pub(super) open: fn(&DeviceOptions) -> Opened,
    /// Whether [`Device::Auto`] tries to open this backend.
    pub(super) is_automatic: bool,
}

/// All backends, in the order in which [`Device::Auto`] tries them.
pub(super) const BACKENDS: &[BackendEntry] = &[
    BackendEntry { device: Device::Npu, open: xdna::open, is_automatic: true },
    BackendEntry { device: Device::NpuFake, open: xdna::open_fake, is_automatic: false },
    BackendEntry { device: Device::Cpu, open: cpu::open, is_automatic: true },
];
