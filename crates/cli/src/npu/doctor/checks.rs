//! The checks of `amanuensis doctor`, which tell whether an NPU can be used.

use std::path::Path;

use amanuensis_engine::Device;
use amanuensis_xdna::cost::{Costs, Predicted, predict};
use amanuensis_xdna::design::{self, Design};
use amanuensis_xdna::driver::{Driver, HEAP_SIZE, Info};
use amanuensis_xdna::fake::Controls;
use amanuensis_xdna::gemm::Gemm;
use amanuensis_xdna::matmul::Mode;
use amanuensis_xdna::target::Target;
use amanuensis_xdna::{Error, Fake, Found, Machine, SelfTest, self_test};

/// The outcome of one check of the NPU, such as whether its driver is installed.
pub struct Check {
    pub name: &'static str,
    pub is_ok: bool,
    pub detail: String,
}

/// A matrix product that the device computed as a test.
pub struct Product {
    pub mode: Mode,
    pub test: SelfTest,
    pub predicted: Predicted,
}

/// The results of all checks of one device.
pub struct Examination {
    pub device: Device,
    pub machine: Machine,
    pub checks: Vec<Check>,
    pub products: Vec<Product>,
    /// Whether no check was left out. If a check fails, later checks that need its result are left out.
    is_complete: bool,
}

impl Examination {
    /// Runs all checks of `device`, which is the NPU of `machine` or the fake NPU (a software model). `design` is the
    /// directory with the compiled program for the NPU. The fake NPU does not need it.
    pub fn run(device: Device, machine: Machine, design: Option<&Path>) -> Self {
        let (checks, products) = (Vec::new(), Vec::new());
        let mut examination = Self { device, machine, checks, products, is_complete: false };
        let completed = match device {
            Device::NpuFake => examination.check_fake(),
            _ => examination.check_npu(design),
        };
        examination.is_complete = completed.is_some();
        examination
    }

    /// Whether all checks were run and all passed.
    pub fn is_ok(&self) -> bool {
        self.is_complete && self.checks.iter().all(|check| check.is_ok)
    }

    /// Adds the outcome of a check to the results. Returns the value in `outcome`, or `None` if the check failed.
    fn record<T>(&mut self, name: &'static str, outcome: Result<(T, String), Error>) -> Option<T> {
        let (value, is_ok, detail) = match outcome {
            Ok((value, detail)) => (Some(value), true, detail),
            Err(error) => (None, false, error.to_string()),
        };
        self.checks.push(Check { name, is_ok, detail });
        value
    }

    fn check_fake(&mut self) -> Option<()> {
        let target = Target::default();
        let design = Design::for_fake_encoder(target);
        self.record("design", Ok(((), describe_design(&design))));
        let open = || Ok(Box::new(Fake::open(target, &Controls::default())?) as Box<dyn Driver>);
        self.check_products(&design, &open)
    }

    fn check_npu(&mut self, directory: Option<&Path>) -> Option<()> {
        let found = self.check_device();
        // The design (the program for the NPU) is checked even if there is no device.
        let design = self.check_design(directory);
        let (found, design) = found.zip(design)?;
        self.check_products(&design, &|| found.open())
    }

    fn check_device(&mut self) -> Option<Found> {
        let found = self.machine.device().map(|found| (found.clone(), describe_device(found)));
        let found = self.record("device", found)?;
        let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "of unknown version".to_owned());
        let driver = format!("amdxdna {}, Linux {}", version(&self.machine.driver), version(&self.machine.kernel));
        self.record("driver", Ok(((), driver)));
        self.record("firmware", Ok(((), version(&found.firmware))));
        let opened = found.open();
        let mut driver =
            self.record("permission", opened.map(|driver| (driver, "the device can be opened".to_owned())))?;
        let limit = describe_memory_lock(self.machine.memory_lock);
        self.record("memory lock", Ok(((), limit)));
        let info = driver.info().map_err(Error::from);
        self.record("array", info.map(|info| ((), describe_array(&info))))?;
        Some(found)
    }

    fn check_design(&mut self, directory: Option<&Path>) -> Option<Design> {
        let Some(directory) = directory else {
            let detail = "not given: --npu-design DIR; docs/npu.md says how to build one".to_owned();
            self.checks.push(Check { name: "design", is_ok: false, detail });
            return None;
        };
        let design = design::load(directory).map(|design| {
            let detail = describe_design(&design);
            (design, detail)
        });
        self.record("design", design)
    }

    /// Loads the design (the program for the NPU) onto the device, and computes a test product in sequential and
    /// batched mode.
    fn check_products(&mut self, design: &Design, open: &dyn Fn() -> Result<Box<dyn Driver>, Error>) -> Option<()> {
        for (mode, name) in [(Mode::Batched, "product"), (Mode::Sequential, "one by one")] {
            let tested = open().and_then(|driver| {
                let mut gemm = Gemm::open(driver, design.clone(), mode)?;
                let test = self_test(&mut gemm)?;
                let product = Product { mode, test, predicted: predict(design, &test.counters) };
                let detail = describe_product(&product, self.device);
                self.products.push(product);
                test.verdict()?;
                Ok(((), detail))
            });
            self.record(name, tested)?;
        }
        Some(())
    }
}

fn describe_device(found: &Found) -> String {
    let name = found.name.as_deref().unwrap_or("an NPU");
    let target = found.target.map_or_else(|| "of an unknown generation".to_owned(), |target| target.to_string());
    format!("{name} ({}, {target}) at {}", found.pci_id, found.path.display())
}

/// Describes the limit of locked memory. `limit` is in bytes; `None` means unlimited. A low limit is not a failure,
/// because privileged processes may exceed it. A later check tests whether the device's memory (the heap) can be
/// allocated in spite of the limit.
fn describe_memory_lock(limit: Option<u64>) -> String {
    match limit {
        Some(limit) if limit < HEAP_SIZE as u64 => {
            let needed = HEAP_SIZE >> 20;
            format!("{} MiB, but the heap needs {needed} MiB: if its allocation fails, raise the limit", limit >> 20)
        }
        Some(limit) => format!("{} MiB", limit >> 20),
        None => "unlimited".to_owned(),
    }
}

fn describe_array(info: &Info) -> String {
    let (major, minor) = info.array_version;
    format!("{} columns of {} cores, version {major}.{minor}", info.columns, info.core_rows)
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
    let clock = if device == Device::NpuFake { "on the fake NPU" } else { "measured" };
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
