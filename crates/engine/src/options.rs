//! Options for loading a model.

use std::path::PathBuf;

#[cfg(feature = "npu")]
use amanuensis_xdna::matmul::Mode;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray, VariantNames};

/// The number format of the matrix products.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Display, EnumString, VariantNames, Serialize, Deserialize)]
#[strum(serialize_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum ComputeType {
    /// Int8, with one scale for each row of activations and one for each output channel of the weights. Sums are
    /// exact in i32. This is the fastest format.
    #[default]
    Int8,
    /// Single precision. Its results are the reference for those of int8.
    F32,
}

/// The implementation that runs a model's networks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Runtime {
    /// The native runtime, which is part of this project and loads weights in any supported format. This is the
    /// fastest runtime.
    #[default]
    Native,
    /// The graphs of an ONNX export. They are run unchanged, one sequence and one token at a time, as a reference for
    /// comparisons.
    Onnx,
}

/// The device that computes the encoder's matrix products. Results are the same on every device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Device {
    /// The NPU if it is usable, otherwise the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An AMD XDNA NPU with a design (the compiled program for the NPU) that the user has built. *Untested on
    /// hardware.* Needs the cargo feature `npu`.
    Npu,
    /// A software model of an NPU, for development. It is slow. Needs the cargo feature `npu`.
    NpuFake,
}

/// A device and its settings.
#[derive(Clone, Debug)]
pub struct DeviceOptions {
    /// The selected device.
    pub device: Device,
    /// The directory that contains the design, which is the compiled program for the NPU.
    pub npu_design: Option<PathBuf>,
    /// How work is submitted to an NPU. [`Mode::Sequential`] waits for each launch (run of an NPU kernel), and serves
    /// as a comparison.
    #[cfg(feature = "npu")]
    pub npu_mode: Mode,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self {
            device: Device::Auto,
            npu_design: None,
            #[cfg(feature = "npu")]
            npu_mode: Mode::Batched,
        }
    }
}

impl From<Device> for DeviceOptions {
    fn from(device: Device) -> Self {
        Self { device, ..Self::default() }
    }
}

/// Options for [`Engine::load`](crate::Engine::load).
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// The number format of the matrix products. The ONNX runtime ignores it, because the graphs have a fixed format.
    pub compute_type: ComputeType,
    /// Number of threads that compute, including the calling thread; 0 counts as 1.
    pub threads: usize,
    /// The device for the encoder's matrix products. The decoder always runs on the CPU.
    pub device: DeviceOptions,
    /// The implementation that runs the model's networks.
    pub runtime: Runtime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_name_can_be_parsed() {
        for device in Device::VARIANTS {
            assert_eq!(device.to_string().parse(), Ok(*device));
        }
        assert!("gpu".parse::<Device>().is_err());
    }
}
