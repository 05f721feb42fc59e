//! `amanuensis devices`: what can multiply, and why the rest cannot.

use std::fmt::Write as _;
use std::path::Path;

use amanuensis_engine::Device;
use amanuensis_kernels::Cpu;
use amanuensis_xdna::design;
use amanuensis_xdna::{Error, Machine};
use serde_json::{Value, json};

use super::args::DevicesArgs;
use super::print;
use crate::failure::Failure;

struct Listed {
    device: Device,
    state: &'static str,
    detail: String,
}

pub fn run(args: &DevicesArgs) -> Result<(), Failure> {
    let listed = [cpu()?, npu(&Machine::here(), args.npu_design.as_deref()), fake()];
    if args.json {
        let row = |row: &Listed| json!({ "name": row.device.to_string(), "state": row.state, "detail": row.detail });
        let rows: Vec<Value> = listed.iter().map(row).collect();
        return print(&format!("{}\n", json!({ "devices": rows })));
    }
    let mut table = format!("{:<10} {:<10} {}\n", "DEVICE", "STATE", "DETAIL");
    for Listed { device, state, detail } in &listed {
        // Writing to a string does not fail.
        let _ = writeln!(table, "{:<10} {state:<10} {detail}", device.to_string());
    }
    print(&table)
}

fn cpu() -> Result<Listed, Failure> {
    let cpu = Cpu::from_environment().map_err(|error| Failure::Failed(error.to_string()))?;
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    Ok(Listed { device: Device::Cpu, state: "usable", detail: format!("{}, {cores} cores", cpu.isa()) })
}

fn npu(machine: &Machine, directory: Option<&Path>) -> Listed {
    let device = Device::Npu;
    match usable(machine, directory) {
        Ok(detail) => Listed { device, state: "usable", detail },
        Err(reason) => {
            let state = if machine.has_npu() { "unusable" } else { "absent" };
            Listed { device, state, detail: reason }
        }
    }
}

/// What the NPU is, or what is in the way of using it.
fn usable(machine: &Machine, directory: Option<&Path>) -> Result<String, String> {
    let told = |error: Error| error.to_string();
    let found = machine.device().map_err(|error| match directory.map(design::load) {
        // A design can be looked at where there is no device.
        Some(Err(problem)) => format!("{error}; {problem}"),
        _ => told(error),
    })?;
    let info = found.open().and_then(|mut driver| Ok(driver.info()?)).map_err(told)?;
    let name = found.name.as_deref().unwrap_or(&found.pci_id);
    let device = format!("{name} at {}, {} columns", found.path.display(), info.columns);
    let Some(directory) = directory else {
        return Err(format!("{device}: no design is named, --npu-design DIR; docs/npu.md says how to build one"));
    };
    let design = design::load(directory).map_err(told)?;
    if found.target.is_some_and(|target| target != design.target) {
        let device = found.target.map_or_else(String::new, |target| target.to_string());
        return Err(told(Error::OtherTarget { design: design.target.name(), device }));
    }
    Ok(format!("{device}, with the design in {}; untested on hardware: `amanuensis doctor`", directory.display()))
}

fn fake() -> Listed {
    let detail = "a model of an NPU, slow: a development aid".to_owned();
    Listed { device: Device::NpuFake, state: "usable", detail }
}
