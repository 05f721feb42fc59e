//! The options that choose a device, and the arguments of the commands about devices.

use std::path::PathBuf;

use amanuensis_engine::{Device, DeviceOptions};
use amanuensis_xdna::matmul::Mode;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use strum::VariantArray;

use crate::failure::Failure;
use crate::values::name_of;

/// Which device, and how.
#[derive(Debug, clap::Args)]
pub struct DeviceArgs {
    /// What multiplies the encoder's matrices; the text does not depend on it
    #[arg(long, default_value = "auto", value_parser = devices())]
    pub device: Device,

    /// The directory of a design for an AMD NPU (see docs/npu.md; untested on hardware)
    #[arg(long, value_name = "DIR")]
    pub npu_design: Option<PathBuf>,

    /// How the NPU is handed its work; `sequential`, one launch at a time, is for comparison [default: batched]
    #[arg(long, value_name = "MODE", value_parser = name_of::<Mode>(), hide_short_help = true)]
    pub npu_mode: Option<Mode>,
}

impl DeviceArgs {
    /// The same for the engine.
    pub fn options(&self) -> Result<DeviceOptions, Failure> {
        let needs = |option: &str, devices: &str| Failure::Usage(format!("{option} is of use with {devices} only"));
        if self.npu_design.is_some() && !matches!(self.device, Device::Npu | Device::Auto) {
            return Err(needs("--npu-design", "--device npu or auto"));
        }
        if self.npu_mode.is_some() && !matches!(self.device, Device::Npu | Device::NpuFake) {
            return Err(needs("--npu-mode", "--device npu or npu-fake"));
        }
        Ok(DeviceOptions {
            device: self.device,
            npu_design: self.npu_design.clone(),
            npu_mode: self.npu_mode.unwrap_or(Mode::Batched),
            ..DeviceOptions::default()
        })
    }
}

const DEVICES_HELP: &str = "\
JSON: devices: [{name, state: usable|unusable|absent, detail}]";

/// List the devices that can multiply, and say why others cannot.
#[derive(Debug, clap::Args)]
#[command(after_help = DEVICES_HELP)]
pub struct DevicesArgs {
    /// The directory of a design for an AMD NPU, to be looked at too
    #[arg(long, value_name = "DIR")]
    pub npu_design: Option<PathBuf>,
    /// Print one line of JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

const DOCTOR_HELP: &str = "\
Checks one after the other what has to be there: device, driver, firmware, permissions, lockable memory, a design. Then
multiplies small matrices on the device, compares every element with what the processor computes, and times it beside
what is predicted from published measurements. Where a check fails, the exit code is 1.

The project has no such device: what --json prints, from yours, is what we would like to see. It holds the versions of
this program, of kernel, driver and firmware, and what was measured; nothing about you.

JSON:
  version, device, kernel, driver, pci_id, firmware, memory_lock_bytes (null where unknown or unlimited),
  checks: [{name, state: ok|failed, detail}],
  products: [{mode, shape: [M, K, N], wrong, elements, launches, submissions, syncs, bytes_to_device, bytes_from_device,
    seconds, predicted_seconds: [LEAST, MOST]}]";

/// Check whether an AMD NPU can be used, and what is in the way.
#[derive(Debug, clap::Args)]
#[command(after_help = DOCTOR_HELP)]
pub struct DoctorArgs {
    /// The NPU, or a model of it (a development aid)
    #[arg(long, default_value = "npu", value_parser = npus())]
    pub device: Device,
    /// The directory of a design for the NPU (see docs/npu.md)
    #[arg(long, value_name = "DIR")]
    pub npu_design: Option<PathBuf>,
    /// Print one line of JSON instead of a list
    #[arg(long)]
    pub json: bool,
}

fn devices() -> impl TypedValueParser<Value = Device> {
    let help = |device: Device| match device {
        Device::Auto => "the best that there is: an NPU where one is set up, or else the processor",
        Device::Cpu => "the processor",
        Device::Npu => "an AMD XDNA NPU, with --npu-design; untested on hardware",
        Device::NpuFake => "a model of an NPU, slow: a development aid",
    };
    named(Device::VARIANTS.iter().map(move |device| PossibleValue::new(<&str>::from(device)).help(help(*device))))
}

fn npus() -> impl TypedValueParser<Value = Device> {
    named([Device::Npu, Device::NpuFake].into_iter().map(|device| PossibleValue::new(<&str>::from(device))))
}

fn named(values: impl Iterator<Item = PossibleValue>) -> impl TypedValueParser<Value = Device> {
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Device>())
}
