//! Reports the work that an NPU did, as text and as JSON.

use amanuensis_engine::Engine;
use serde_json::{Value, json};

/// Summarises in one line for the user what the NPU did. Returns `None` if no NPU was used.
pub fn summary(engine: &Engine) -> Option<String> {
    let usage = engine.npu_usage()?;
    let (device, counters) = (engine.device(), usage.counters);
    let fake = if device == "npu-fake" { "; the speed of the fake NPU means nothing" } else { "" };
    Some(format!(
        "{device}: {} launches in {} submissions, {} syncs, {:.1} MB to the device and {:.1} MB from it; {} on {}{fake}",
        counters.launches,
        counters.submissions,
        counters.syncs,
        counters.bytes_to_device as f64 / 1e6,
        counters.bytes_from_device as f64 / 1e6,
        usage.predicted,
        usage.target,
    ))
}

/// Returns as JSON how much work the NPU did. Returns `null` if no NPU was used.
pub fn json(engine: &Engine) -> Value {
    let Some(usage) = engine.npu_usage() else { return Value::Null };
    let counters = usage.counters;
    json!({
        "target": usage.target.name(), "launches": counters.launches, "submissions": counters.submissions,
        "syncs": counters.syncs, "bytes_to_device": counters.bytes_to_device,
        "bytes_from_device": counters.bytes_from_device, "predicted_s": [usage.predicted.low, usage.predicted.high],
    })
}
