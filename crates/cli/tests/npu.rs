//! Tests of NPU support: the transcript does not depend on the device, and devices that cannot be used are reported.
#![cfg(feature = "npu")]

mod common;

use std::path::PathBuf;

use amanuensis_models::Store;
use common::Workspace;
use serde_json::Value;

/// Transcribes a recording. Returns the segments, and the counters of the NPU: launches (kernel runs) and
/// synchronisations.
fn transcribe(workspace: &Workspace, arguments: &[&str]) -> (Value, Value) {
    let base = ["transcribe", "--offline", "--format", "json"];
    let run = workspace.run(&[&base[..], arguments].concat());
    run.ended(0, &[]);
    let transcript: Value = serde_json::from_str(&run.stdout).unwrap();
    let count = |what: &str| -> Option<u64> {
        let before = run.stderr.split_once(&format!(" {what}"))?.0;
        before.rsplit(' ').next()?.parse().ok()
    };
    if arguments.contains(&"npu-fake") {
        assert!(run.stderr.contains("npu-fake: ") && run.stderr.contains("predicted "), "{run:?}");
    }
    (transcript["segments"].clone(), serde_json::json!({ "launches": count("launches"), "syncs": count("syncs") }))
}

#[test]
fn the_fake_npu_gives_the_same_segments_as_the_cpu() {
    let workspace = Workspace::new();
    workspace.model("gibberish");
    workspace.recording("tone.wav", 2.0);
    let (expected, _) = transcribe(&workspace, &["--model", "gibberish", "--device", "cpu", "tone.wav"]);
    for mode in ["batched", "sequential"] {
        let arguments = ["--model", "gibberish", "--device", "npu-fake", "--npu-mode", mode, "tone.wav"];
        assert_eq!(transcribe(&workspace, &arguments).0, expected, "{mode}");
    }
}

#[test]
fn the_batched_mode_needs_fewer_synchronisations_for_the_same_segments() {
    let data = std::env::var_os("AMANUENSIS_TEST_DATA").ok_or("AMANUENSIS_TEST_DATA is not set".to_owned());
    let model = Store::open_default().and_then(|store| store.path("tiny.en")).map_err(|error| error.to_string());
    let (data, model) = match data.and_then(|data| Ok((PathBuf::from(data), model?))) {
        Ok(found) => found,
        Err(missing) => return println!("skipped: {missing}"),
    };
    let workspace = Workspace::new();
    let recording = data.join("speech/jfk-flac-44k-stereo.flac");
    let run = |options: &[&str]| {
        let arguments = ["--model", model.to_str().unwrap(), recording.to_str().unwrap()];
        transcribe(&workspace, &[&arguments[..], options].concat())
    };
    let (expected, _) = run(&["--device", "cpu"]);
    assert!(!expected.as_array().unwrap().is_empty());
    let (segments, batched) = run(&["--device", "npu-fake"]);
    assert_eq!(segments, expected);
    let (segments, sequential) = run(&["--device", "npu-fake", "--npu-mode", "sequential"]);
    assert_eq!(segments, expected);
    assert_eq!(batched["launches"], sequential["launches"]);
    let syncs = |counters: &Value| counters["syncs"].as_u64().unwrap();
    assert!(20 * syncs(&batched) <= syncs(&sequential), "{batched} {sequential}");
}

#[test]
fn devices_that_cannot_be_used_are_rejected() {
    let workspace = Workspace::new();
    workspace.model("gibberish");
    workspace.recording("tone.wav", 1.0);
    let refused = |arguments: &[&str], code: i32, messages: &[&str]| {
        let base = ["transcribe", "--model", "gibberish", "tone.wav"];
        workspace.run(&[&base[..], arguments].concat()).ended(code, messages);
    };
    refused(&["--device", "gpu"], 2, &["gpu", "auto, cpu, npu"]);
    refused(&["--device", "cpu", "--npu-design", "."], 2, &["--npu-design", "--device npu"]);
    refused(&["--device", "npu-fake", "--npu-design", "."], 2, &["--npu-design"]);
    refused(&["--npu-mode", "sequential"], 2, &["--npu-mode"]);
    for device in ["npu", "npu-fake"] {
        refused(&["--device", device, "--compute-type", "f32"], 2, &["int8 only"]);
        refused(&["--device", device, "--runtime", "onnx"], 2, &["on the processor only"]);
    }
    if amanuensis_xdna::Machine::here().has_npu() {
        return println!("skipped: this machine has an NPU");
    }
    refused(&["--device", "npu"], 1, &["there is no AMD NPU"]);
    // If the user did not ask for an NPU, there is no message that an NPU is missing.
    let run = workspace.run(&["transcribe", "--model", "gibberish", "tone.wav"]);
    run.ended(0, &[]);
    assert!(!run.stderr.contains("NPU"), "{run:?}");
}

#[test]
fn the_devices_command_lists_every_device() {
    let workspace = Workspace::new();
    let run = workspace.run(&["devices", "--json"]);
    run.ended(0, &[]);
    let listed: Value = serde_json::from_str(&run.stdout).unwrap();
    let names: Vec<&str> =
        listed["devices"].as_array().unwrap().iter().map(|device| device["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cpu", "npu", "npu-fake"]);
    assert_eq!(listed["devices"][0]["state"], "usable");
    let table = workspace.run(&["devices"]);
    table.ended(0, &[]);
    assert!(table.stdout.contains("development aid"), "{table:?}");
}

#[test]
fn doctor_checks_products_on_the_fake_npu_and_reports_what_is_missing() {
    let workspace = Workspace::new();
    let run = workspace.run(&["doctor", "--device", "npu-fake", "--json"]);
    run.ended(0, &[]);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let products = report["products"].as_array().unwrap();
    assert_eq!(products.iter().map(|product| &product["mode"]).collect::<Vec<_>>(), ["batched", "sequential"]);
    for product in products {
        assert_eq!(product["wrong"], 0);
        let [low, high] = [0, 1].map(|at| product["predicted_seconds"][at].as_f64().unwrap());
        assert!(0.0 < low && low < high, "{product}");
    }
    assert!(products[0]["syncs"].as_u64() < products[1]["syncs"].as_u64());
    let list = workspace.run(&["doctor", "--device", "npu-fake"]);
    list.ended(0, &[]);
    assert!(list.stdout.contains("equal bit for bit") && list.stdout.contains("predicted"), "{list:?}");
    assert!(list.stdout.contains("is a model"), "{list:?}");
    workspace.run(&["doctor", "--device", "npu-fake", "--npu-design", "."]).ended(2, &["--npu-design"]);
    if amanuensis_xdna::Machine::here().has_npu() {
        return println!("skipped: this machine has an NPU");
    }
    let run = workspace.run(&["doctor"]);
    run.ended(1, &[]);
    assert!(run.stdout.contains("failed") && run.stdout.contains("there is no AMD NPU"), "{run:?}");
    // The design (the program for the NPU) is checked even on a machine without an NPU.
    for command in ["doctor", "devices"] {
        let run = workspace.run(&[command, "--npu-design", "nowhere"]);
        assert!(run.stdout.contains("there is no AMD NPU") && run.stdout.contains("design.json"), "{run:?}");
    }
}
