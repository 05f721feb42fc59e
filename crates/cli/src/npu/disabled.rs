//! Replaces the module `npu` in a build without the cargo feature `npu`. It has the same options and commands, but
//! using them fails with a message that names the feature.

use crate::failure::Failure;

const MESSAGE: &str = "this program was built without NPU support, the cargo feature `npu`. Build it with \
    `cargo install --locked --path crates/cli --features npu`";

fn unsupported(option: &str) -> Failure {
    Failure::Usage(format!("{option}: {MESSAGE}"))
}

pub mod options {
    use std::ffi::OsString;

    use amanuensis_engine::{Device, DeviceOptions};

    use super::unsupported;
    use crate::failure::Failure;

    /// The NPU options. This build rejects them, but defines them so that the error message can name the missing
    /// feature.
    #[derive(Debug, clap::Args)]
    pub struct NpuArgs {
        #[arg(long, value_name = "DIR", hide = true)]
        npu_design: Option<OsString>,

        #[arg(long, value_name = "MODE", hide = true)]
        npu_mode: Option<OsString>,
    }

    impl NpuArgs {
        /// Returns the device options of the engine. Fails if the device is an NPU or an NPU option is set.
        pub fn device_options(&self, device: Device) -> Result<DeviceOptions, Failure> {
            if matches!(device, Device::Npu | Device::NpuFake) {
                return Err(unsupported(&format!("--device {device}")));
            }
            if self.npu_design.is_some() {
                return Err(unsupported("--npu-design"));
            }
            if self.npu_mode.is_some() {
                return Err(unsupported("--npu-mode"));
            }
            Ok(device.into())
        }
    }
}

pub mod probe {
    use std::path::Path;

    use super::MESSAGE;

    /// The result of looking for an NPU. A build without NPU support always returns [`Self::Absent`].
    pub enum Probe {
        #[expect(dead_code, reason = "the same variants as in a build with NPU support")]
        Usable(String),
        #[expect(dead_code, reason = "the same variants as in a build with NPU support")]
        Unusable(String),
        Absent(String),
    }

    pub fn probe(_directory: Option<&Path>) -> Probe {
        Probe::Absent(MESSAGE.to_owned())
    }
}

pub mod doctor {
    use self::args::DoctorArgs;
    use super::unsupported;
    use crate::failure::Failure;

    pub mod args {
        use std::ffi::OsString;

        /// Check whether an AMD NPU can be used (not supported by this build).
        #[derive(Debug, clap::Args)]
        pub struct DoctorArgs {
            #[arg(hide = true, allow_hyphen_values = true, trailing_var_arg = true)]
            _ignored: Vec<OsString>,
        }
    }

    pub fn run(_args: &DoctorArgs) -> Result<(), Failure> {
        Err(unsupported("doctor"))
    }
}

pub mod usage {
    use amanuensis_engine::Engine;
    use serde_json::Value;

    pub fn summary(_engine: &Engine) -> Option<String> {
        None
    }

    pub fn json(_engine: &Engine) -> Value {
        Value::Null
    }
}
