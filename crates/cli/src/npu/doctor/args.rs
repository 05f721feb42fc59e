//! The arguments of `amanuensis doctor`, and their help.

use std::path::PathBuf;

use amanuensis_engine::Device;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

const HELP: &str = "\
Checks in this order: device, driver, firmware, permissions, lockable memory, design. Then small matrices are \
multiplied on the NPU. Every element of the products is compared with the result of the CPU. The measured time is shown \
beside the time predicted from published measurements. If a check fails, the exit code is 1.

The developers have no such device, and would like to see the output of --json from yours. It contains the versions of \
this program, kernel, driver and firmware, and the measurements, but no personal data.

JSON:
  version, device, kernel, driver, pci_id, firmware,
  memory_lock_bytes (null if unknown or unlimited),
  checks: [{name, state: ok|failed, detail}],
  products: [{mode, shape: [M, K, N], wrong, elements, launches, submissions, syncs,
    bytes_to_device, bytes_from_device, seconds, predicted_seconds: [MIN, MAX]}]";

/// Check whether an AMD NPU can be used, and what is missing.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct DoctorArgs {
    /// Device to check: `npu`, or `npu-fake` for the software model of an NPU (see docs/npu.md)
    #[arg(long, default_value = "npu", value_parser = npu(), hide = true)]
    pub device: Device,

    /// Directory with the compiled program for the NPU (a "design", see docs/npu.md)
    #[arg(long, value_name = "DIR")]
    pub npu_design: Option<PathBuf>,

    /// Print one line of JSON instead of a list
    #[arg(long)]
    pub json: bool,
}

fn npu() -> impl TypedValueParser<Value = Device> {
    let values = [Device::Npu, Device::NpuFake].map(|device| PossibleValue::new(<&str>::from(device)));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Device>())
}
