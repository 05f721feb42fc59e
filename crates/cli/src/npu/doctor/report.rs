//! The results of `amanuensis doctor` as a list and as JSON.

use std::fmt::Write as _;

use amanuensis_engine::Device;
use serde_json::{Value, json};

use super::checks::{Check, Examination, Product};

pub fn list(examination: &Examination) -> String {
    let mut list = String::new();
    for Check { name, is_ok, detail } in &examination.checks {
        // Writing to a string cannot fail.
        let _ = writeln!(list, "{name:<12} {:<7} {detail}", state(*is_ok));
    }
    if examination.device == Device::NpuFake {
        list.push_str("The fake NPU is a model: nothing of this was measured on a device.\n");
    }
    list
}

pub fn json(examination: &Examination) -> Value {
    let Examination { device, machine, checks, products, .. } = examination;
    let found = machine.device().ok().filter(|_| *device == Device::Npu);
    json!({
        "version": env!("CARGO_PKG_VERSION"), "device": device.to_string(), "kernel": machine.kernel,
        "driver": machine.driver, "pci_id": found.map(|found| &found.pci_id),
        "firmware": found.and_then(|found| found.firmware.as_ref()), "memory_lock_bytes": machine.memory_lock,
        "checks": checks.iter().map(check_json).collect::<Vec<_>>(),
        "products": products.iter().map(product_json).collect::<Vec<_>>(),
    })
}

fn state(is_ok: bool) -> &'static str {
    if is_ok { "ok" } else { "failed" }
}

fn check_json(check: &Check) -> Value {
    json!({ "name": check.name, "state": state(check.is_ok), "detail": check.detail })
}

fn product_json(product: &Product) -> Value {
    let (test, shape, counters) = (product.test, product.test.shape, product.test.counters);
    json!({
        "mode": product.mode.to_string(), "shape": [shape.m, shape.k, shape.n], "wrong": test.wrong,
        "elements": shape.m * shape.n, "launches": counters.launches, "submissions": counters.submissions,
        "syncs": counters.syncs, "bytes_to_device": counters.bytes_to_device,
        "bytes_from_device": counters.bytes_from_device, "seconds": test.time.as_secs_f64(),
        "predicted_seconds": [product.predicted.low, product.predicted.high],
    })
}
