//! End-to-end tests of `amanuensis eval`: scoring, reports and exit codes.

mod common;

use std::fs;
use std::path::Path;

use amanuensis_models::Store;
use common::{Run, Workspace, names_in};
use serde_json::{Value, json};

/// Creates a workspace with a model of random weights and a manifest with the given lines.
fn workspace(manifest: &[Value]) -> Workspace {
    let workspace = Workspace::new();
    workspace.model("gibberish");
    fs::create_dir(workspace.path("talks")).unwrap();
    let lines: Vec<String> = manifest.iter().map(Value::to_string).collect();
    fs::write(workspace.path("talks/manifest.jsonl"), lines.join("\n")).unwrap();
    workspace
}

/// Evaluates the manifest with the model of random weights.
fn eval(workspace: &Workspace, options: &[&str]) -> Run {
    let arguments = ["eval", "--offline", "--model", "gibberish", "--manifest", "talks/manifest.jsonl"];
    workspace.run(&[&arguments[..], options].concat())
}

#[test]
fn only_recordings_with_a_complete_reference_are_scored() {
    let workspace = workspace(&[
        json!({"id": "counted", "file": "a.wav", "language": "en", "reference": "Twenty-one colours."}),
        json!({"id": "without", "file": "a.wav", "language": "en"}),
        json!({"id": "prefix", "file": "b.wav", "reference": "One", "prefix_of_reference": true}),
    ]);
    workspace.recording("talks/a.wav", 3.0);
    workspace.recording("talks/b.wav", 2.0);
    let run = eval(&workspace, &["--json", "--output-dir", "out"]);
    run.ended(0, &[]);
    assert_eq!(run.stdout.lines().count(), 1, "{run:?}");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&report["model"], &report["compute_type"]), (&json!("gibberish"), &json!("int8")));
    assert_eq!((&report["strategy"], &report["reference_units"]), (&json!("batched"), &json!({"en": 2})));
    assert_eq!(report["audio_s"], 8.0);
    let speed = report["audio_s"].as_f64().unwrap() / report["wall_s"].as_f64().unwrap();
    assert!((report["speed"].as_f64().unwrap() - speed).abs() < 1e-6 * speed);

    let clip = &report["clips"][0];
    let count = |kind: &str| clip[kind].as_u64().unwrap();
    let errors = count("substitutions") + count("deletions") + count("insertions");
    assert_eq!((clip["units"].as_u64(), clip["error_rate_percent"].as_f64()), (Some(2), Some(50.0 * errors as f64)));
    assert_eq!(
        report["error_rate_percent"],
        json!({"en": clip["error_rate_percent"], "all": clip["error_rate_percent"], "non_en": null})
    );
    for other in 1..3 {
        assert_eq!(report["clips"][other]["units"], Value::Null);
    }

    assert_eq!(names_in(&workspace.path("out")), ["counted.json", "prefix.json", "without.json"]);
    let kept: Value = serde_json::from_str(&fs::read_to_string(workspace.path("out/counted.json")).unwrap()).unwrap();
    assert_eq!(kept["text"], clip["text"]);
    assert!(!kept["text"].as_str().unwrap().is_empty());
}

#[test]
fn without_json_a_table_is_printed() {
    let workspace =
        workspace(&[json!({"id": "talk", "file": "a.wav", "language": "en", "reference": "One two three"})]);
    workspace.recording("talks/a.wav", 3.0);
    let run = eval(&workspace, &["--strategy", "sequential"]);
    run.ended(0, &[]);
    let mut lines = run.stdout.lines();
    assert_eq!(lines.next(), Some("gibberish, int8, sequential"));
    for start in ["talk ", "total ", "all languages ", "speed "] {
        assert!(lines.any(|line| line.starts_with(start)), "no {start:?} in {}", run.stdout);
    }
}

#[test]
fn a_recording_that_fails_is_scored_as_empty_and_the_others_are_transcribed() {
    let workspace = workspace(&[
        json!({"id": "missing", "file": "none.wav", "language": "en", "reference": "red green blue grey"}),
        json!({"id": "german", "file": "a.wav", "language": "de", "reference": "eins zwei"}),
        json!({"id": "good", "file": "a.wav", "language": "en", "reference": "five"}),
    ]);
    workspace.recording("talks/a.wav", 2.0);
    let run = eval(&workspace, &["--json", "--output-dir", "out"]);
    run.ended(1, &["error: missing: ", "error: german: ", "English only"]);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let failed = &report["clips"][0];
    assert_eq!((&failed["deletions"], &failed["error_rate_percent"]), (&json!(4), &json!(100.0)));
    assert_eq!((&failed["flags"], &report["error_rate_percent"]["non_en"]), (&json!(["failed"]), &json!(100.0)));
    assert_eq!((&report["audio_s"], &report["clips"][2]["units"]), (&json!(2.0), &json!(1)));
    assert_eq!(names_in(&workspace.path("out")), ["good.json"]);
    // The option --language overrides the languages in the manifest.
    let run = eval(&workspace, &["--language", "en"]);
    assert!(!run.stderr.contains("german"), "{run:?}");
}

#[test]
fn an_invalid_manifest_is_rejected_with_the_line_number() {
    let workspace = workspace(&[json!({"id": "a", "file": "a.wav"}), json!({"id": "b"})]);
    eval(&workspace, &[]).ended(1, &["talks/manifest.jsonl, line 2", "file"]);
    fs::write(workspace.path("talks/manifest.jsonl"), "\n").unwrap();
    eval(&workspace, &[]).ended(1, &["names no recording"]);
    fs::remove_file(workspace.path("talks/manifest.jsonl")).unwrap();
    eval(&workspace, &[]).ended(1, &["cannot read the manifest talks/manifest.jsonl: "]);
    workspace.run(&["eval"]).ended(2, &["--manifest"]);
}

#[test]
fn the_sample_recording_is_transcribed_with_few_errors() {
    let model = match Store::open_default().and_then(|store| store.path("base")) {
        Ok(model) => model,
        Err(missing) => return println!("skipped: {missing}"),
    };
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/offline.opus");
    let reference = "This recording never left the machine it was made on. A small program wrote down every word, on an \
                     ordinary computer, without any help from the internet.";
    let clip = json!({"id": "sample", "file": sample.to_str().unwrap(), "language": "de", "reference": reference});
    let workspace = workspace(&[clip]);
    let arguments = ["eval", "--offline", "--language", "auto", "--json", "--manifest", "talks/manifest.jsonl"];
    let run = workspace.run(&[&arguments[..], &["--model", model.to_str().unwrap()]].concat());
    run.ended(0, &[]);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    // The manifest names a wrong language on purpose, because the test checks that `--language auto` detects the
    // language instead.
    assert_eq!((&report["clips"][0]["detected"], &report["clips"][0]["units"]), (&json!("en"), &json!(27)));
    let rate = report["error_rate_percent"]["non_en"].as_f64().unwrap();
    assert!(rate <= 8.0, "{report}");
}
