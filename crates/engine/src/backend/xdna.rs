//! AMD XDNA NPUs: weights brought to the device once, products submitted as chains of launches.
//!
//! Sums come back exact, and what lies behind them is done by the processor with the code that its own products end in:
//! the same bits. Whatever fails, the product is computed by the processor instead, and so are all that follow; nothing
//! has been written to its output before the device has done its part.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amanuensis_kernels::Context;
use amanuensis_kernels::gemm::{Epilogue, Output, PackedI8, QuantisedRows, finish_sums, gemm_int8};
use amanuensis_xdna::cost::{Predicted, predict};
use amanuensis_xdna::design::{self, Design};
use amanuensis_xdna::driver::Driver;
use amanuensis_xdna::gemm::{Gemm, Weights};
use amanuensis_xdna::launch::Counters;
use amanuensis_xdna::target::Target;
use amanuensis_xdna::{Error, Fake, Machine};

use super::cpu::pack;
use super::{Backend, DeviceOptions, Matrix, Product, Unavailable};

/// What an NPU was used for so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// The generation of the device.
    pub target: Target,
    /// What was asked of it.
    pub counters: Counters,
    /// The seconds that a device of this generation is predicted to take for it.
    pub predicted: Predicted,
}

/// Opens the NPU of this machine.
pub(super) fn open(options: &DeviceOptions) -> Result<Arc<dyn Backend>, Unavailable> {
    let machine = Machine::here();
    let told = |error: Error| {
        let reason = error.to_string();
        if machine.has_npu() { Unavailable::Unusable(reason) } else { Unavailable::Absent(reason) }
    };
    let found = machine.device().map_err(told)?;
    let Some(directory) = &options.npu_design else {
        let reason = "it needs a design, and none is named: `--npu-design DIR`; docs/npu.md says how to build one";
        return Err(Unavailable::Unusable(reason.to_owned()));
    };
    let design = design::load(directory).map_err(told)?;
    found.open().and_then(|driver| Xdna::open("npu", driver, design, options)).map_err(told)
}

/// Opens the fake NPU.
pub(super) fn open_fake(options: &DeviceOptions) -> Result<Arc<dyn Backend>, Unavailable> {
    let target = Target::default();
    let opened = Fake::open(target, &options.fake)
        .and_then(|fake| Xdna::open("npu-fake", Box::new(fake), Design::for_fake_encoder(target), options));
    opened.map_err(|error| Unavailable::Unusable(error.to_string()))
}

struct Xdna {
    name: &'static str,
    device: Arc<Shared>,
}

/// What the layers of a network share.
struct Shared {
    state: Mutex<State>,
}

struct State {
    /// Until something fails.
    gemm: Option<Gemm>,
    /// What was asked of the device, once it has failed.
    usage: Option<Usage>,
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
        Ok(Arc::new(Self { name, device: Arc::new(Shared { state }) }))
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
        Some(format!("the NPU has failed, and the processor goes on in its place: {failure}"))
    }

    fn usage(&self) -> Option<Usage> {
        let state = self.device.state();
        state.gemm.as_ref().map(usage).or(state.usage)
    }
}

fn usage(gemm: &Gemm) -> Usage {
    let (design, counters) = (gemm.session().design(), gemm.counters());
    Usage { target: design.target, counters, predicted: predict(design, &counters) }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is valid between any two statements, and a product that panicked has left only sums half-written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Does something on the device, if it still works; if it fails, that was its last.
    fn attempt<T>(&mut self, run: impl FnOnce(&mut Gemm, &mut Vec<i32>) -> Result<T, Error>) -> Option<T> {
        let gemm = self.gemm.as_mut()?;
        match run(gemm, &mut self.sums) {
            Ok(value) => Some(value),
            Err(error) => {
                self.failure = Some(error.to_string());
                self.usage = Some(usage(gemm));
                self.gemm = None;
                None
            }
        }
    }
}

struct XdnaProduct {
    device: Arc<Shared>,
    /// For the scales, and for when the device fails.
    packed: PackedI8,
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
