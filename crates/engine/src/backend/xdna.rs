//! The backend that uses an AMD XDNA NPU. Weights are copied to the device once. The launches (runs of an NPU kernel)
//! that compute a product are submitted to the device as a chain.
//!
//! The device returns exact sums. The CPU then applies the epilogue (scales, bias and activation) with the same code
//! as for its own products, so the results are bit for bit the same. If an operation on the device fails, the CPU
//! computes that product and all later ones. This is safe because nothing is written to the output before the device
//! has finished.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amanuensis_kernels::Context;
use amanuensis_kernels::gemm::{Epilogue, Output, PackedI8, QuantisedRows, finish_sums, gemm_int8};
use amanuensis_xdna::cost::predict;
use amanuensis_xdna::design::{self, Design};
use amanuensis_xdna::driver::Driver;
use amanuensis_xdna::fake::Controls;
use amanuensis_xdna::gemm::{Gemm, Weights};
use amanuensis_xdna::target::Target;
use amanuensis_xdna::{Error, Fake, Machine};

use super::cpu::pack;
use super::interface::{Backend, Matrix, Opened, Product, Unavailable};
use super::usage::Usage;
use crate::options::DeviceOptions;

/// Opens the NPU of this machine.
pub(super) fn open(options: &DeviceOptions) -> Opened {
    let machine = Machine::here();
    let unavailable = |error: Error| {
        let reason = error.to_string();
        if machine.has_npu() { Unavailable::Unusable(reason) } else { Unavailable::Absent(reason) }
    };
    let found = machine.device().map_err(unavailable)?;
    let Some(directory) = &options.npu_design else {
        let reason = "it needs a design, named with `--npu-design DIR`; docs/npu.md describes how to build one";
        return Err(Unavailable::Unusable(reason.to_owned()));
    };
    let design = design::load(directory).map_err(unavailable)?;
    found.open().and_then(|driver| Xdna::open("npu", driver, design, options)).map_err(unavailable)
}

/// Opens the fake NPU, a software model of the device.
pub(super) fn open_fake(options: &DeviceOptions) -> Opened {
    open_fake_with_faults(options, &Controls::default()).map_err(|error| Unavailable::Unusable(error.to_string()))
}

/// Opens the fake NPU, a software model of the device, with injected faults. It serves to test the fallback to the
/// CPU.
///
/// # Errors
/// If an injected fault occurs while the device is opened.
pub fn open_fake_with_faults(options: &DeviceOptions, faults: &Controls) -> Result<Arc<dyn Backend>, Error> {
    let target = Target::default();
    let fake = Fake::open(target, faults)?;
    Xdna::open("npu-fake", Box::new(fake), Design::for_fake_encoder(target), options)
}

struct Xdna {
    name: &'static str,
    device: Arc<SharedDevice>,
}

/// The device, shared by all layers of the network.
struct SharedDevice {
    state: Mutex<State>,
}

struct State {
    /// Multiplies matrices on the device. `None` after a failure.
    gemm: Option<Gemm>,
    /// The work that the device did before it failed. `None` as long as it has not failed.
    usage: Option<Usage>,
    /// The reason of the failure. `None` if the device has not failed, or if the reason was already returned by
    /// `take_failure`.
    failure: Option<String>,
    sums: Vec<i32>,
}

impl Xdna {
    fn open(
        name: &'static str,
        driver: Box<dyn Driver>,
        design: Design,
        options: &DeviceOptions,
    ) -> Result<Arc<dyn Backend>, Error> {
        let gemm = Some(Gemm::open(driver, design, options.npu_mode)?);
        let state = Mutex::new(State { gemm, usage: None, failure: None, sums: Vec::new() });
        Ok(Arc::new(Self { name, device: Arc::new(SharedDevice { state }) }))
    }
}

impl Backend for Xdna {
    fn name(&self) -> &'static str {
        self.name
    }

    fn prepare(&self, context: &Context, weights: &Matrix<'_>) -> Box<dyn Product> {
        let packed = pack(context, weights);
        let prepare = |gemm: &mut Gemm, _: &mut Vec<i32>| {
            gemm.prepare((packed.n(), packed.k()), &|channel, out| packed.channel(channel, out))
        };
        let weights = self.device.state().attempt(prepare);
        Box::new(XdnaProduct { device: Arc::clone(&self.device), packed, weights })
    }

    fn take_failure(&self) -> Option<String> {
        let failure = self.device.state().failure.take()?;
        Some(format!("the NPU has failed, and the CPU has taken over: {failure}"))
    }

    fn usage(&self) -> Option<Usage> {
        let state = self.device.state();
        state.gemm.as_ref().map(usage_of).or(state.usage)
    }
}

fn usage_of(gemm: &Gemm) -> Usage {
    let (design, counters) = (gemm.session().design(), gemm.counters());
    Usage { target: design.target, counters, predicted: predict(design, &counters) }
}

impl SharedDevice {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held is harmless: the state is valid between any two statements, and unfinished
        // sums are overwritten.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Runs an operation on the device and returns its result. Returns `None` if the operation fails or the device
    /// has failed before. After an error the device is not used again.
    fn attempt<T>(&mut self, run: impl FnOnce(&mut Gemm, &mut Vec<i32>) -> Result<T, Error>) -> Option<T> {
        let gemm = self.gemm.as_mut()?;
        match run(gemm, &mut self.sums) {
            Ok(value) => Some(value),
            Err(error) => {
                self.failure = Some(error.to_string());
                self.usage = Some(usage_of(gemm));
                self.gemm = None;
                None
            }
        }
    }
}

struct XdnaProduct {
    device: Arc<SharedDevice>,
    /// The weights for the CPU. The scales in them are always needed; the values are needed only if the device fails.
    packed: PackedI8,
    /// The weights on the device. `None` if the device failed before they were copied.
    weights: Option<Weights>,
}

impl Product for XdnaProduct {
    fn shape(&self) -> (usize, usize) {
        self.packed.shape()
    }

    fn gemm(&self, context: &Context, a: &QuantisedRows, epilogue: &Epilogue<'_>, output: Output<'_>) {
        let mut state = self.device.state();
        let multiply = |gemm: &mut Gemm, sums: &mut Vec<i32>| {
            let Some(weights) = &self.weights else { return Ok(false) };
            sums.resize(a.rows() * self.packed.n(), 0);
            gemm.multiply(a.rows(), &|row| a.row(row), weights, sums).map(|()| true)
        };
        if state.attempt(multiply) == Some(true) {
            finish_sums(context, &state.sums, a.scales(), self.packed.scales(), epilogue, output);
        } else {
            drop(state);
            gemm_int8(context, a, &self.packed, epilogue, output);
        }
    }
}
