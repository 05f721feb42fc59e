//! Which device multiplies: the options that say so, `amanuensis devices` and `amanuensis doctor`.

pub mod args;
pub mod devices;
pub mod doctor;

use std::io::{self, Write as _};

use amanuensis_engine::backend::Usage;
use serde_json::{Value, json};

use crate::failure::Failure;

/// What an NPU was used for, for people.
pub fn summary(device: &str, usage: &Usage) -> String {
    let counters = usage.counters;
    let fake = if device == "npu-fake" { "; what the fake takes says nothing" } else { "" };
    format!(
        "{device}: {} launches in {} submissions, {} syncs, {:.1} MB to the device and {:.1} MB from it; {} on {}{fake}",
        counters.launches,
        counters.submissions,
        counters.syncs,
        counters.bytes_to_device as f64 / 1e6,
        counters.bytes_from_device as f64 / 1e6,
        usage.predicted,
        usage.target,
    )
}

/// The same for programs.
pub fn json(usage: &Usage) -> Value {
    let counters = usage.counters;
    json!({
        "target": usage.target.name(), "launches": counters.launches, "submissions": counters.submissions,
        "syncs": counters.syncs, "bytes_to_device": counters.bytes_to_device,
        "bytes_from_device": counters.bytes_from_device, "predicted_s": [usage.predicted.low, usage.predicted.high],
    })
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::of_stdout(&error))
}
