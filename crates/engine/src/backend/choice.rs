//! Which backend the encoder's products run on.

use std::path::PathBuf;
use std::sync::Arc;

use amanuensis_xdna::fake::Controls;
use amanuensis_xdna::matmul::Mode;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use super::{BACKENDS, Backend, Cpu, Opener, Unavailable};
use crate::{ComputeType, EngineOptions, Error, Runtime};

/// What multiplies the encoder's matrices. The text does not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Device {
    /// The best that there is.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// An AMD XDNA NPU, with a design of one's own. *Untested on hardware.*
    Npu,
    /// A model of one, slow: a development aid.
    NpuFake,
}

/// A device, and how to use it.
#[derive(Clone, Debug)]
pub struct DeviceOptions {
    /// Which.
    pub device: Device,
    /// The directory of a design for the NPU.
    pub npu_design: Option<PathBuf>,
    /// How an NPU is handed its work; one launch at a time is for comparison.
    pub npu_mode: Mode,
    /// The handle of the fake NPU: what it counts, and what is to go wrong with it.
    pub fake: Controls,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        let fake = Controls::default();
        Self { device: Device::Auto, npu_design: None, npu_mode: Mode::Batched, fake }
    }
}

impl From<Device> for DeviceOptions {
    fn from(device: Device) -> Self {
        Self { device, ..Self::default() }
    }
}

impl EngineOptions {
    /// Whether they go together, whatever the model and the machine.
    ///
    /// # Errors
    /// [`Error::Device`] where a device is asked for what none but the processor can do.
    pub fn check(&self) -> Result<(), Error> {
        match (self.device.device, self.hindrance()) {
            (device @ (Device::Npu | Device::NpuFake), Some(reason)) => {
                Err(Error::Device { device, reason: reason.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Why none but the processor can do it.
    fn hindrance(&self) -> Option<&'static str> {
        match (self.runtime, self.compute_type) {
            (Runtime::Onnx, _) => Some("an ONNX runtime executes graphs on the processor only"),
            (Runtime::Native, ComputeType::F32) => Some("it computes in int8 only, not in f32"),
            (Runtime::Native, ComputeType::Int8) => None,
        }
    }
}

/// A backend, and what is to be said of the choice.
pub(crate) struct Chosen {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) notice: Option<String>,
}

/// Opens the backend that is asked for, or the best that there is.
pub(crate) fn choose(options: &EngineOptions) -> Result<Chosen, Error> {
    choose_from(BACKENDS, options)
}

fn choose_from(openers: &[Opener], options: &EngineOptions) -> Result<Chosen, Error> {
    options.check()?;
    let hindrance = options.hindrance();
    let options = &options.device;
    let unavailable = |reason: String| Error::Device { device: options.device, reason };
    let unused = |reason: &str| format!("the NPU is not used: {reason}");
    if let Some(hindrance) = hindrance {
        let notice = options.npu_design.is_some().then(|| unused(hindrance));
        return Ok(Chosen { backend: Arc::new(Cpu), notice });
    }
    let mut notice = None;
    for opener in openers {
        let is_named = opener.device == options.device;
        let is_tried = options.device == Device::Auto && opener.is_automatic;
        if !(is_named || is_tried) {
            continue;
        }
        match (opener.open)(options) {
            Ok(backend) => return Ok(Chosen { backend, notice }),
            Err(Unavailable::Absent(reason) | Unavailable::Unusable(reason)) if is_named => {
                return Err(unavailable(reason));
            }
            // Of what is not there, nobody wants to hear who has not named a design for it.
            Err(Unavailable::Absent(_)) if options.npu_design.is_none() => {}
            Err(Unavailable::Absent(reason) | Unavailable::Unusable(reason)) => {
                notice = Some(format!("{}. `amanuensis devices` says more", unused(&reason)));
            }
        }
    }
    // The processor is in the list, and always there.
    Ok(Chosen { backend: Arc::new(Cpu), notice })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(
        open: fn(&DeviceOptions) -> Result<Arc<dyn Backend>, Unavailable>,
        device: Device,
    ) -> Result<Chosen, Error> {
        let openers = [Opener { device: Device::Npu, open, is_automatic: true }];
        choose_from(&openers, &EngineOptions { device: device.into(), ..EngineOptions::default() })
    }

    #[test]
    fn auto_tells_of_what_is_there_and_cannot_be_used() {
        let absent = |_: &DeviceOptions| Err(Unavailable::Absent("no NPU".to_owned()));
        let unusable = |_: &DeviceOptions| Err(Unavailable::Unusable("no permission".to_owned()));
        let auto = chosen(absent, Device::Auto).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((auto.backend.name(), auto.notice), ("cpu", None));
        let auto = chosen(unusable, Device::Auto).unwrap_or_else(|error| panic!("{error}"));
        assert!(auto.backend.name() == "cpu" && auto.notice.is_some_and(|notice| notice.contains("no permission")));
        for open in [absent, unusable] {
            let error = chosen(open, Device::Npu).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("`npu` cannot be used"), "{error}");
        }
    }

    #[test]
    fn a_design_that_is_named_is_not_passed_over_in_silence() {
        let design = DeviceOptions { npu_design: Some("design".into()), ..DeviceOptions::default() };
        let native = EngineOptions { device: design, ..EngineOptions::default() };
        let f32 = EngineOptions { compute_type: ComputeType::F32, ..native.clone() };
        let onnx = EngineOptions { runtime: Runtime::Onnx, ..native.clone() };
        let open = |_: &DeviceOptions| Err(Unavailable::Absent("no NPU".to_owned()));
        let openers = [Opener { device: Device::Npu, open, is_automatic: true }];
        for (options, why) in [(native, "no NPU"), (f32, "int8 only"), (onnx, "processor only")] {
            let chosen = choose_from(&openers, &options).unwrap_or_else(|error| panic!("{error}"));
            let notice = chosen.notice.unwrap_or_default();
            assert!(chosen.backend.name() == "cpu" && notice.contains(why), "{notice}");
        }
    }

    #[test]
    fn what_computes_on_the_processor_alone_refuses_others() {
        let onnx = EngineOptions { runtime: Runtime::Onnx, ..EngineOptions::default() };
        let f32 = EngineOptions { compute_type: ComputeType::F32, ..EngineOptions::default() };
        for options in [onnx, f32] {
            assert_eq!(choose(&options).map(|chosen| chosen.backend.name()).ok(), Some("cpu"));
            assert!(choose(&EngineOptions { device: Device::NpuFake.into(), ..options }).is_err());
        }
    }

    #[test]
    fn names_are_read_back() {
        for device in Device::VARIANTS {
            assert_eq!(device.to_string().parse(), Ok(*device));
        }
        assert!("gpu".parse::<Device>().is_err());
    }
}
