//! `amanuensis devices`: lists the devices that can run the encoder, and says why other devices cannot.

use std::fmt::Write as _;
use std::path::PathBuf;

use amanuensis_engine::Device;
use amanuensis_kernels::Cpu;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::npu::probe::{Probe, probe};
use crate::stdout::print;

const HELP: &str = "\
JSON:
  devices: [{name, state: usable|unusable|absent, detail}]";

/// List the devices that can run the encoder, and why other devices cannot.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct DevicesArgs {
    /// Directory with the compiled program for the NPU (a "design", see docs/npu.md); it is checked too
    #[arg(long, value_name = "DIR")]
    npu_design: Option<PathBuf>,

    /// Print one line of JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// One device in the list, such as the CPU.
struct DeviceRow {
    device: Device,
    state: &'static str,
    detail: String,
}

pub fn run(args: &DevicesArgs) -> Result<(), Failure> {
    let mut rows = vec![cpu_row()?, npu_row(args)];
    if cfg!(feature = "npu") {
        rows.push(fake_npu_row());
    }
    print(&if args.json { json(&rows) } else { table(&rows) })
}

fn json(rows: &[DeviceRow]) -> String {
    let row = |row: &DeviceRow| json!({ "name": row.device.to_string(), "state": row.state, "detail": row.detail });
    let rows: Vec<Value> = rows.iter().map(row).collect();
    format!("{}\n", json!({ "devices": rows }))
}

fn table(rows: &[DeviceRow]) -> String {
    let mut table = format!("{:<10} {:<10} {}\n", "DEVICE", "STATE", "DETAIL");
    for DeviceRow { device, state, detail } in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(table, "{:<10} {state:<10} {detail}", device.to_string());
    }
    table
}

fn cpu_row() -> Result<DeviceRow, Failure> {
    let cpu = Cpu::from_environment().map_err(|error| Failure::Failed(error.to_string()))?;
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    Ok(DeviceRow { device: Device::Cpu, state: "usable", detail: format!("{}, {cores} cores", cpu.isa()) })
}

fn npu_row(args: &DevicesArgs) -> DeviceRow {
    let (state, detail) = match probe(args.npu_design.as_deref()) {
        Probe::Usable(detail) => ("usable", detail),
        Probe::Unusable(reason) => ("unusable", reason),
        Probe::Absent(reason) => ("absent", reason),
    };
    DeviceRow { device: Device::Npu, state, detail }
}

fn fake_npu_row() -> DeviceRow {
    let detail = "a slow software model of an NPU: a development aid".to_owned();
    DeviceRow { device: Device::NpuFake, state: "usable", detail }
}
