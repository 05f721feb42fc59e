//! The option `--device`, and the options for NPUs.

use amanuensis_transcribe::{Device, DeviceOptions};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use strum::VariantArray;

use crate::failure::Failure;
use crate::npu::options::NpuArgs;

/// Options that select the device that computes the encoder's matrix products.
#[derive(Debug, clap::Args)]
pub struct DeviceArgs {
    /// Device that computes the encoder's matrix products; the result does not depend on it
    #[arg(long, default_value = "auto", value_parser = device(), help_heading = "Performance")]
    device: Device,

    #[command(flatten)]
    npu: NpuArgs,
}

impl DeviceArgs {
    /// Returns the device options of the engine. Fails if the options contradict each other.
    pub fn options(&self) -> Result<DeviceOptions, Failure> {
        self.npu.device_options(self.device)
    }
}

fn device() -> impl TypedValueParser<Value = Device> {
    let value = |device: &Device| {
        let (help, is_hidden) = match device {
            Device::Auto => ("The NPU if --npu-design is given and an NPU is found, otherwise the CPU", false),
            Device::Cpu => ("The CPU", false),
            Device::Npu => {
                ("An AMD XDNA NPU; needs --npu-design; not yet tested on a real NPU", cfg!(not(feature = "npu")))
            }
            // This device simulates an NPU for development. It is documented in docs/npu.md.
            Device::NpuFake => ("A software model of an NPU, for development only", true),
        };
        PossibleValue::new(<&str>::from(device)).help(help).hide(is_hidden)
    };
    PossibleValuesParser::new(Device::VARIANTS.iter().map(value)).try_map(|name| name.parse::<Device>())
}
