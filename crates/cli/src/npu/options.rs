//! The command line options of NPUs.

use std::path::PathBuf;

use amanuensis_engine::{Device, DeviceOptions};
use amanuensis_xdna::matmul::Mode;

use crate::failure::Failure;
use crate::values::name_of;

/// Options that select a compiled program for the NPU, and how it is run.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "NPU")]
pub struct NpuArgs {
    /// Directory with the compiled program for the NPU (a "design", see docs/npu.md); not yet tested on a real NPU
    #[arg(long, value_name = "DIR")]
    npu_design: Option<PathBuf>,

    /// How work is submitted to the NPU [default: batched]
    ///
    /// `batched` queues many NPU jobs (launches) and waits for all of them at once. `sequential` waits for each launch
    /// before it queues the next one; it is slower and meant for comparison. This is unrelated to --strategy.
    #[arg(long, value_name = "MODE", value_parser = name_of::<Mode>())]
    npu_mode: Option<Mode>,
}

impl NpuArgs {
    /// Returns the device options of the engine. Fails if an NPU option is set although `device` does not support it.
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
