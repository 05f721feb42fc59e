//! `amanuensis bench`: that it measures, and says what it promises to programs. Not how fast anything is.

mod common;

use common::Workspace;
use serde_json::Value;

fn json(workspace: &Workspace, arguments: &[&str]) -> Value {
    let run = workspace.run(arguments);
    run.ended(0, &[]);
    assert_eq!(run.stdout.lines().count(), 1, "{run:?}");
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn a_model_is_measured() {
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
