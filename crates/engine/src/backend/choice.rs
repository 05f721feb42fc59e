//! Chooses the backend for the encoder's matrix products.

use std::sync::Arc;

use super::cpu::Cpu;
use super::interface::{Backend, Unavailable};
use super::registry::{BACKENDS, BackendEntry};
use crate::error::Error;
use crate::options::{ComputeType, Device, EngineOptions, Runtime};

impl EngineOptions {
    /// Checks that the options can be combined. The model and the devices of the machine are not considered.
    ///
    /// # Errors
    /// [`Error::Device`] if they combine an NPU with a runtime or a compute type that only the CPU supports.
    pub fn check(&self) -> Result<(), Error> {
        if matches!(self.device.device, Device::Npu | Device::NpuFake) { check_options(self) } else { Ok(()) }
    }
}

/// Checks that an NPU can be used with the runtime and the compute type in `options`, whatever device they request.
///
/// # Errors
/// [`Error::Device`] with the reason if an NPU does not support them.
pub(crate) fn check_options(options: &EngineOptions) -> Result<(), Error> {
    let device = options.device.device;
    cpu_only_reason(options).map_or(Ok(()), |reason| Err(Error::Device { device, reason: reason.to_owned() }))
}

/// The reason why only the CPU supports these options, or `None` if an NPU supports them too.
fn cpu_only_reason(options: &EngineOptions) -> Option<&'static str> {
    match (options.runtime, options.compute_type) {
        (Runtime::Onnx, _) => Some("the ONNX runtime computes on the processor only"),
        (Runtime::Native, ComputeType::F32) => Some("it computes in int8 only, not in f32"),
        (Runtime::Native, ComputeType::Int8) => None,
    }
}

/// The chosen backend, and a message for the user about the choice if there is something to tell.
pub(crate) struct Chosen {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) notice: Option<String>,
}

/// Opens the requested backend. For [`Device::Auto`], opens the first backend that can be used.
pub(crate) fn choose(options: &EngineOptions) -> Result<Chosen, Error> {
    choose_from(BACKENDS, options)
}

fn choose_from(backends: &[BackendEntry], options: &EngineOptions) -> Result<Chosen, Error> {
    options.check()?;
    let cpu_only = cpu_only_reason(options);
    let options = &options.device;
    let unused = |reason: &str| format!("the NPU is not used: {reason}");
    if let Some(reason) = cpu_only {
        let notice = options.npu_design.is_some().then(|| unused(reason));
        return Ok(Chosen { backend: Arc::new(Cpu), notice });
    }
    let mut notice = None;
    for entry in backends {
        let is_requested = entry.device == options.device;
        let is_tried = options.device == Device::Auto && entry.is_automatic;
        if !(is_requested || is_tried) {
            continue;
        }
        match (entry.open)(options) {
            Ok(backend) => return Ok(Chosen { backend, notice }),
            Err(Unavailable::Absent(reason) | Unavailable::Unusable(reason)) if is_requested => {
                return Err(Error::Device { device: options.device, reason });
            }
            // The absence of a device is normal, so it causes a notice only if the options name an NPU design (the
            // compiled program for the NPU).
            Err(Unavailable::Absent(_)) if options.npu_design.is_none() => {}
            Err(Unavailable::Absent(reason) | Unavailable::Unusable(reason)) => {
                notice = Some(format!("{}. `amanuensis devices` shows details", unused(&reason)));
            }
        }
    }
    // Only reached if the list has no CPU backend, as in the tests below.
    Ok(Chosen { backend: Arc::new(Cpu), notice })
}

#[cfg(test)]
mod tests {
    use super::super::interface::Opened;
    use super::*;
    use crate::options::DeviceOptions;

    fn absent(_: &DeviceOptions) -> Opened {
        Err(Unavailable::Absent("no NPU".to_owned()))
    }

    fn unusable(_: &DeviceOptions) -> Opened {
        Err(Unavailable::Unusable("no permission".to_owned()))
    }

    fn choose_with(open: fn(&DeviceOptions) -> Opened, options: &EngineOptions) -> Result<Chosen, Error> {
        choose_from(&[BackendEntry { device: Device::Npu, open, is_automatic: true }], options)
    }

    fn for_device(device: Device) -> EngineOptions {
        EngineOptions { device: device.into(), ..EngineOptions::default() }
    }

    #[test]
    fn auto_gives_a_notice_only_if_a_device_is_present_but_unusable() {
        let auto = choose_with(absent, &for_device(Device::Auto)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((auto.backend.name(), auto.notice), ("cpu", None));
        let auto = choose_with(unusable, &for_device(Device::Auto)).unwrap_or_else(|error| panic!("{error}"));
        assert!(auto.backend.name() == "cpu" && auto.notice.is_some_and(|notice| notice.contains("no permission")));
    }

    #[test]
    fn a_requested_device_that_is_unavailable_is_an_error() {
        for open in [absent, unusable] {
            let error = choose_with(open, &for_device(Device::Npu)).err();
            let error = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("`npu` cannot be used"), "{error}");
        }
    }

    #[test]
    fn a_named_design_that_is_not_used_gives_a_notice() {
        let design = DeviceOptions { npu_design: Some("design".into()), ..DeviceOptions::default() };
        let native = EngineOptions { device: design, ..EngineOptions::default() };
        let f32 = EngineOptions { compute_type: ComputeType::F32, ..native.clone() };
        let onnx = EngineOptions { runtime: Runtime::Onnx, ..native.clone() };
        for (options, reason) in [(native, "no NPU"), (f32, "int8 only"), (onnx, "processor only")] {
            let chosen = choose_with(absent, &options).unwrap_or_else(|error| panic!("{error}"));
            let notice = chosen.notice.unwrap_or_default();
            assert!(chosen.backend.name() == "cpu" && notice.contains(reason), "{notice}");
        }
    }

    #[test]
    fn the_onnx_runtime_and_f32_reject_an_npu() {
        let onnx = EngineOptions { runtime: Runtime::Onnx, ..EngineOptions::default() };
        let f32 = EngineOptions { compute_type: ComputeType::F32, ..EngineOptions::default() };
        for options in [onnx, f32] {
            assert_eq!(choose(&options).map(|chosen| chosen.backend.name()).ok(), Some("cpu"));
            assert!(choose(&EngineOptions { device: Device::NpuFake.into(), ..options }).is_err());
        }
    }

    #[cfg(not(feature = "npu"))]
    #[test]
    fn a_build_without_npu_support_names_the_missing_feature() {
        for device in [Device::Npu, Device::NpuFake] {
            let error = choose(&for_device(device)).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("feature `npu`"), "{error}");
        }
        assert_eq!(choose(&for_device(Device::Auto)).map(|chosen| chosen.notice).ok(), Some(None));
    }
}
