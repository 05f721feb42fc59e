//! Tests of `amanuensis bench`: the reports have the right format and plausible values. No particular speed is
//! expected.

mod common;

use std::path::PathBuf;

use amanuensis_models::Store;
use common::{Run, Workspace};
use serde_json::Value;

fn json(workspace: &Workspace, arguments: &[&str]) -> Value {
    let run = workspace.run(arguments);
    run.ended(0, &[]);
    assert_eq!(run.stdout.lines().count(), 1, "{run:?}");
    serde_json::from_str(&run.stdout).unwrap()
}

/// The path of the model `base` in the user's model store, or `None` if it is not installed there. Tests that do not
/// call this function have an empty model store.
fn base() -> Option<PathBuf> {
    let path = Store::open_default().and_then(|store| store.path("base"));
    path.map_err(|error| println!("skipped: {error}")).ok()
}

#[test]
fn roofline_measures_every_instruction_set_and_memory_level() {
    let measured = json(&Workspace::new(), &["bench", "roofline", "--threads", "1", "--json"]);
    assert_eq!(measured["threads"], serde_json::json!([1]));
    let rows = measured["rows"].as_array().unwrap();
    for row in rows {
        assert!(row["values"][0].as_f64().unwrap() > 0.0 && row["unit"].is_string(), "{row}");
    }
    let has = |what: &str| rows.iter().any(|row| row["what"] == what);
    assert!(has("int8 reference") && has("f32 reference") && has("read 256 KiB, L2") && !has("bf16 reference"));
}

#[test]
fn matmul_results_are_correct_on_every_instruction_set() {
    let workspace = Workspace::new();
    let shapes = ["--sizes", "16", "--shapes", "40x70x33,3x64x50"];
    let arguments = [&["bench", "matmul", "--isa", "all", "--threads", "2", "--json"][..], &shapes].concat();
    let measured = json(&workspace, &arguments);
    assert_eq!(measured["threads"], 2);
    assert!(measured["isa"].is_string() && measured["roofline_tops"].as_f64().unwrap() > 0.0, "{measured}");
    let rows = measured["rows"].as_array().unwrap();
    let (tiles, full): (Vec<&Value>, Vec<&Value>) = rows.iter().partition(|row| row["contract"] == "tile-exact");
    assert!(full.len().is_multiple_of(3) && full.last().unwrap()["isa"] == "reference", "{measured}");
    for row in full {
        let keys = [
            "bare_gops",
            "bare_share",
            "f32_gops",
            "f32_share",
            "quantise_gops",
            "quantise_share",
            "roofline_tops",
            "ms",
        ];
        assert!(keys.iter().all(|key| row[key].as_f64().unwrap() > 0.0), "{row}");
        assert_eq!((&row["contract"], &row["mode"], &row["tile"]), (&"full".into(), &"kernel".into(), &Value::Null));
        assert_eq!((&row["equal"], &row["rows_compared"]), (&true.into(), &row["shape"][0]));
        let is_cube = row["size"] == 16;
        assert_eq!(row["size"].is_null(), !is_cube, "{row}");
        assert_eq!(row["speedup"].is_null(), !is_cube || cfg!(not(feature = "npu")), "{row}");
    }
    // For each instruction set there are six rows: three tile sizes in two modes. Without the feature `npu`, there
    // are none.
    assert!(cfg!(not(feature = "npu")) || !tiles.is_empty());
    assert!(tiles.len().is_multiple_of(6) && tiles.iter().all(|row| row["equal"] == true));
    let table = workspace.run(&["bench", "matmul", "--sizes", "16", "--isa", "reference", "--threads", "1"]);
    table.ended(0, &[]);
    assert!(table.stdout.contains("16x16x16") && table.stdout.contains("yes, all rows"), "{table:?}");
    if cfg!(feature = "npu") {
        assert!(table.stdout.contains("sequential") && table.stdout.contains("16   full"), "{table:?}");
    }
}

#[cfg(feature = "npu")]
#[test]
fn both_modes_of_tiled_products_are_measured_and_correct() {
    let arguments = ["bench", "matmul", "--sizes", "40", "--tiles", "32,16", "--json"];
    let measured = json(&Workspace::new(), &arguments);
    let rows = measured["rows"].as_array().unwrap();
    let named: Vec<[&Value; 4]> =
        rows.iter().map(|row| ["size", "tile", "contract", "mode"].map(|key| &row[key])).collect();
    let expected = serde_json::json!([
        [40, 32, "tile-exact", "sequential"],
        [40, 32, "tile-exact", "batched"],
        [40, 16, "tile-exact", "sequential"],
        [40, 16, "tile-exact", "batched"],
        [40, null, "full", "kernel"],
    ]);
    assert_eq!(serde_json::json!(named), expected);
    for row in rows {
        assert_eq!(row["equal"], true, "{row}");
        assert!(["ms", "gops", "speedup"].iter().all(|key| row[key].as_f64().unwrap() > 0.0), "{row}");
    }
    // In each dimension, a matrix of 40 x 40 needs 2 tiles of size 32, or 3 tiles of size 16. So 2^3 = 8 or 3^3 = 27
    // kernel runs (launches) are needed. In sequential mode, each launch synchronises twice.
    for (row, launches) in rows.iter().zip([8, 8, 27, 27]) {
        let syncs = if row["mode"] == "batched" { 2 } else { 2 * launches };
        assert_eq!((&row["launches"], &row["syncs"]), (&launches.into(), &syncs.into()), "{row}");
        assert!(["direct_ms", "direct_speedup"].iter().all(|key| row[key].as_f64().unwrap() > 0.0), "{row}");
        assert!(row["mae"].is_number() && row["within_1"].as_f64().unwrap() <= 1.0, "{row}");
    }
}

#[test]
fn invalid_matmul_arguments_are_rejected() {
    let workspace = Workspace::new();
    let matmul = |arguments: &[&str]| workspace.run(&[&["bench", "matmul"][..], arguments].concat());
    matmul(&["--sizes", "0"]).ended(2, &["sizes must be at least 1"]);
    matmul(&["--shapes", "axb"]).ended(2, &["axb", "as in 1500x512x2048"]);
    matmul(&["--shapes", "1x200000x1"]).ended(2, &["may overflow"]);
    matmul(&["--shapes", "10000000x1000x10000000"]).ended(1, &["10000000x1000x10000000", "GB of memory"]);
    matmul(&["--tiles", "17"]).ended(2, &["17", "--tiles"]);
    #[cfg(feature = "npu")]
    matmul(&["--tiles", "16", "--shapes", "1x2x3"]).ended(2, &["--tiles needs a cube of at most 1024"]);
    matmul(&["--isa", "sse9"]).ended(2, &["sse9", "avx2"]);
    let mut command = workspace.amanuensis(&["bench", "matmul", "--sizes", "16"]);
    Run::of(&command.env("AMANUENSIS_ISA", "sse9").output().unwrap()).ended(2, &["sse9"]);
}

#[test]
fn transcription_is_measured() {
    let workspace = Workspace::new();
    workspace.model("gibberish");
    workspace.recording("a.wav", 2.0);
    workspace.recording("b.wav", 3.0);
    let run = ["bench", "transcribe", "--model", "gibberish", "--threads", "1"];
    let more = ["--language", "en", "--strategy", "sequential", "--batch-size", "3", "--json", "a.wav", "b.wav"];
    let measured = json(&workspace, &[&run[..], &more].concat());
    assert_eq!((&measured["files"], &measured["threads"], &measured["batch_size"]), (&2.into(), &1.into(), &3.into()));
    let number = |value: &Value| value.as_f64().unwrap();
    assert!((number(&measured["audio_s"]) - 5.0).abs() < 1e-6);
    assert!((number(&measured["speed"]) - number(&measured["audio_s"]) / number(&measured["wall_s"])).abs() < 1e-6);
    for phase in ["audio_decode", "mel", "encode", "decode", "total"] {
        assert!(number(&measured["phases_ms"][phase]) > 0.0, "{phase}: {measured}");
    }
    assert!(number(&measured["load_ms"]) > 0.0 && measured.get("peak_rss_mb").is_some(), "{measured}");
    let table = workspace.run(&[&run[..], &["a.wav"]].concat());
    table.ended(0, &[]);
    assert!(table.stdout.contains("s of audio per second of wall time"), "{table:?}");

    std::fs::write(workspace.path("text.wav"), "Dear diary, this is no recording at all.").unwrap();
    let refused = |arguments: &[&str]| workspace.run(&[&run[..], arguments].concat());
    refused(&["a.wav", "missing.wav"]).ended(1, &["missing.wav: "]);
    refused(&["a.wav", "text.wav"]).ended(1, &["text.wav: "]);
    refused(&["."]).ended(1, &[".: "]);
    refused(&["-"]).ended(2, &["standard input cannot be timed"]);
    refused(&["--language", "de", "a.wav"]).ended(2, &["English"]);
    workspace.run(&["bench", "transcribe", "a.wav"]).ended(1, &["base", "pull"]);
}

#[test]
fn transcription_is_measured_with_an_installed_model() {
    let Some(model) = base() else { return };
    let workspace = Workspace::new();
    workspace.recording("tone.wav", 2.0);
    let measured = json(&workspace, &["bench", "transcribe", "--model", model.to_str().unwrap(), "--json", "tone.wav"]);
    assert_eq!(measured["model"], "base");
    assert!(measured["phases_ms"]["encode"].as_f64().unwrap() > 0.0, "{measured}");
}

#[test]
fn the_stages_of_a_model_are_measured() {
    let workspace = Workspace::new();
    workspace.model("gibberish");
    let measured = json(&workspace, &["bench", "model", "--model", "gibberish", "--threads", "2", "--json"]);
    for key in ["load_ms", "mel_ms", "encode_ms", "encode_tops", "roofline_tops"] {
        assert!(measured[key].as_f64().unwrap() > 0.0, "{key}: {measured}");
    }
    assert_eq!(measured["threads"], 2);
    assert!(measured["isa"].is_string() && measured.get("peak_rss_mb").is_some());
    let batches: Vec<u64> =
        measured["decode"].as_array().unwrap().iter().map(|row| row["batch"].as_u64().unwrap()).collect();
    assert_eq!(batches, [1, 4, 8, 16, 32]);
    for row in measured["decode"].as_array().unwrap() {
        assert!(row["tokens_per_s"].as_f64().unwrap() > 0.0 && row["bytes_per_step"].as_u64().unwrap() > 0, "{row}");
    }
    let table = workspace.run(&["bench", "model", "--model", "gibberish", "--threads", "1"]);
    table.ended(0, &[]);
    assert!(table.stdout.contains("decode, batch 32"), "{table:?}");
    workspace.run(&["bench", "model", "--model", "base", "--json"]).ended(1, &["base", "pull"]);
}
