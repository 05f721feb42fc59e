//! The command line options of NPUs.

use std::path::PathBuf;

use amanuensis_engine::{Device, DeviceOptions};
use amanuensis_xdna::matmul::Mode;

use crate::failure::Failure;
use crate::values::name_of;

/// Options that say how to use an NPU.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "NPU")]
pub struct NpuArgs {
    /// Directory of a design for the NPU (see docs/npu.md); untested on hardware
    #[arg(long, value_name = "DIR")]
    npu_design: Option<PathBuf>,

    /// How work is submitted to the NPU [default: batched]
    ///
    /// `batched` queues many launches and waits for all of them together. `sequential` waits for every launch. It is
    /// slower, and meant for comparison.
    #[arg(long, value_name = "MODE", value_parser = name_of::<Mode>())]
    npu_mode: Option<Mode>,
}

impl NpuArgs {
    /// Returns the device options of the engine. Fails if an NPU option is set that does not apply to `device`.
    pub fn device_options(&self, device: Device) -> Result<DeviceOptions, Failure> {
        let needs = |option: &str, devices: &str| Failure::Usage(format!("{option} needs {devices}"));
        if self.npu_design.is_some() && !matches!(device, Device::Npu | Device::Auto) {
            return Err(needs("--npu-design", "--device npu or auto"));
        }
        if self.npu_mode.is_some() && !matches!(device, Device::Npu | Device::NpuFake) {
            return Err(needs("--npu-mode", "--device npu"));
        }
        Ok(DeviceOptions {
            device,
            npu_design: self.npu_design.clone(),
            npu_mode: self.npu_mode.unwrap_or(Mode::Batched),
        })
    }
}
