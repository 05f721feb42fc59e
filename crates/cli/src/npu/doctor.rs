//! `amanuensis doctor`: what has to be there for an NPU, checked from the ground up, and products compared bit for bit.

use std::fmt::Write as _;
use std::path::Path;

use amanuensis_engine::Device;
use amanuensis_xdna::cost::{Costs, Predicted, predict};
use amanuensis_xdna::design::{self, Design};
use amanuensis_xdna::driver::{Driver, HEAP_SIZE};
use amanuensis_xdna::fake::Controls;
use amanuensis_xdna::gemm::Gemm;
use amanuensis_xdna::matmul::Mode;
use amanuensis_xdna::target::Target;
use amanuensis_xdna::{Error, Fake, Found, Machine, SelfTest, self_test};
use serde_json::{Value, json};

use super::args::DoctorArgs;
use super::print;
use crate::failure::Failure;

/// Something that was looked at.
struct Check {
    name: &'static str,
    is_ok: bool,
    detail: String,
}

/// A product, and how it was handed over.
struct Product {
    mode: Mode,
    test: SelfTest,
    predicted: Predicted,
}

/// What the doctor found.
struct Report {
    device: Device,
    machine: Machine,
    checks: Vec<Check>,
    products: Vec<Product>,
}

pub fn run(args: &DoctorArgs) -> Result<(), Failure> {
    if args.device == Device::NpuFake && args.npu_design.is_some() {
        return Err(Failure::Usage("the fake NPU brings a design of its own: leave --npu-design out".to_owned()));
    }
    let machine = Machine::here();
    let mut report = Report { device: args.device, machine, checks: Vec::new(), products: Vec::new() };
    let examined = report.examine(args);
    print(&if args.json { format!("{}\n", report.json()) } else { report.list() })?;
    let is_well = examined.is_some() && report.checks.iter().all(|check| check.is_ok);
    if is_well { Ok(()) } else { Err(Failure::Reported) }
}

impl Report {
    /// Notes a check; `None` where nothing that follows could be checked.
    fn note<T>(&mut self, name: &'static str, outcome: Result<(T, String), Error>) -> Option<T> {
        let (value, is_ok, detail) = match outcome {
            Ok((value, detail)) => (Some(value), true, detail),
            Err(error) => (None, false, error.to_string()),
        };
        self.checks.push(Check { name, is_ok, detail });
        value
    }

    fn examine(&mut self, args: &DoctorArgs) -> Option<()> {
        match self.device {
            Device::NpuFake => {
                let target = Target::default();
                self.note("design", Ok(((), describe_design(&Design::for_fake_encoder(target)))));
                let open = || Ok(Box::new(Fake::open(target, &Controls::default())?) as Box<dyn Driver>);
                self.multiply(&Design::for_fake_encoder(target), &open)
            }
            _ => self.examine_npu(args),
        }
    }

    fn examine_npu(&mut self, args: &DoctorArgs) -> Option<()> {
        let found = self.examine_device();
        // Where there is no device, a design can still be looked at.
        let design = self.examine_design(args.npu_design.as_deref());
        let (found, design) = found.zip(design)?;
        self.multiply(&design, &|| found.open())
    }

    fn examine_device(&mut self) -> Option<Found> {
        let found = self.machine.device().map(|found| (found.clone(), describe(found)));
        let found = self.note("device", found)?;
        let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "of unknown version".to_owned());
        let driver = format!("amdxdna {}, Linux {}", version(&self.machine.driver), version(&self.machine.kernel));
        self.note("driver", Ok(((), driver)));
        self.note("firmware", Ok(((), version(&found.firmware))));
        let opened = found.open();
        let mut driver =
            self.note("permission", opened.map(|driver| (driver, "the device can be opened".to_owned())))?;
        let (limit, need) = (self.machine.memory_lock, HEAP_SIZE >> 20);
        let lock = match limit {
            // Who may lock whatever they like is not bound by the limit: whether the heap can be had shows below.
            Some(limit) if limit < HEAP_SIZE as u64 => {
                format!("{} MiB, less than the {need} MiB of the heap: if that fails, raise it", limit >> 20)
            }
            Some(limit) => format!("{} MiB", limit >> 20),
            None => "unlimited".to_owned(),
        };
        self.note("memory lock", Ok(((), lock)));
        let info = driver.info().map_err(Error::from);
        let array = |info: amanuensis_xdna::driver::Info| {
            let (major, minor) = info.array_version;
            format!("{} columns of {} cores, version {major}.{minor}", info.columns, info.core_rows)
        };
        self.note("array", info.map(|info| ((), array(info))))?;
        Some(found)
    }

    fn examine_design(&mut self, directory: Option<&Path>) -> Option<Design> {
        let Some(directory) = directory else {
            let problem = "none is named: --npu-design DIR; docs/npu.md says how to build one".to_owned();
            self.checks.push(Check { name: "design", is_ok: false, detail: problem });
            return None;
        };
        self.note(
            "design",
            design::load(directory).map(|design| {
                let detail = describe_design(&design);
                (design, detail)
            }),
        )
    }

    /// Loads a design and multiplies with it, in both modes.
    fn multiply(&mut self, design: &Design, open: &dyn Fn() -> Result<Box<dyn Driver>, Error>) -> Option<()> {
        for (mode, name) in [(Mode::Batched, "product"), (Mode::Sequential, "one by one")] {
            let tested = open().and_then(|driver| {
                let mut gemm = Gemm::open(driver, design.clone(), mode)?;
                let test = self_test(&mut gemm)?;
                self.products.push(Product { mode, test, predicted: predict(design, &test.counters) });
                test.verdict()?;
                let Some(product) = self.products.last() else { return Ok(((), String::new())) };
                Ok(((), describe_product(product, self.device)))
            });
            self.note(name, tested)?;
        }
        Some(())
    }

    fn list(&self) -> String {
        let mut list = String::new();
        for Check { name, is_ok, detail } in &self.checks {
            let state = if *is_ok { "ok" } else { "failed" };
            // Writing to a string does not fail.
            let _ = writeln!(list, "{name:<12} {state:<7} {detail}");
        }
        if self.device == Device::NpuFake {
            list.push_str("The fake NPU is a model: nothing of this was measured on a device.\n");
        }
        list
    }

    fn json(&self) -> Value {
        let found = self.machine.device().ok().filter(|_| self.device == Device::Npu);
        let check = |check: &Check| json!({ "name": check.name, "state": if check.is_ok { "ok" } else { "failed" }, "detail": check.detail });
        let product = |product: &Product| {
            let (test, shape, counters) = (product.test, product.test.shape, product.test.counters);
            json!({
                "mode": product.mode.to_string(), "shape": [shape.m, shape.k, shape.n], "wrong": test.wrong,
                "elements": shape.m * shape.n, "launches": counters.launches, "submissions": counters.submissions,
                "syncs": counters.syncs, "bytes_to_device": counters.bytes_to_device,
                "bytes_from_device": counters.bytes_from_device, "seconds": test.time.as_secs_f64(),
                "predicted_seconds": [product.predicted.low, product.predicted.high],
            })
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"), "device": self.device.to_string(), "kernel": self.machine.kernel,
            "driver": self.machine.driver, "pci_id": found.map(|found| &found.pci_id),
            "firmware": found.and_then(|found| found.firmware.as_ref()), "memory_lock_bytes": self.machine.memory_lock,
            "checks": self.checks.iter().map(check).collect::<Vec<_>>(),
            "products": self.products.iter().map(product).collect::<Vec<_>>(),
        })
    }
}

fn describe(found: &Found) -> String {
    let name = found.name.as_deref().unwrap_or("an NPU");
    let target = found.target.map_or_else(|| "of an unknown generation".to_owned(), |target| target.to_string());
    format!("{name} ({}, {target}) at {}", found.pci_id, found.path.display())
}

fn describe_design(design: &Design) -> String {
    let (launch, tile) = (design.launch, design.tile);
    format!(
        "for {}: {}x{}x{} a launch, in tiles of {}x{}x{}; predicted {:.1} ms to load it",
        design.target,
        launch.m,
        launch.k,
        launch.n,
        tile.m,
        tile.k,
        tile.n,
        Costs::of(design.target).reconfiguration * 1e3,
    )
}

fn describe_product(product: &Product, device: Device) -> String {
    let Product { test, predicted, .. } = product;
    let (shape, counters) = (test.shape, test.counters);
    let clock = if device == Device::NpuFake { "by the fake" } else { "measured" };
    format!(
        "{}x{}x{} equal bit for bit: {} launches, {} submissions, {} syncs; {predicted}, {:.3} ms {clock}",
        shape.m,
        shape.k,
        shape.n,
        counters.launches,
        counters.submissions,
        counters.syncs,
        test.time.as_secs_f64() * 1e3,
    )
}
