//! Tests of `amanuensis models` without network access.

mod common;

use std::fs;

use common::Workspace;

#[test]
fn the_list_shows_models_and_their_states() {
    let workspace = Workspace::new();
    let table = workspace.run(&["models", "list"]);
    table.ended(0, &[]);
    let base = table.stdout.lines().find(|line| line.starts_with("base ")).unwrap();
    assert!(base.contains("MB") && base.contains(" - ") && base.contains("multilingual"), "{base}");

    fs::create_dir_all(workspace.path("store/base")).unwrap();
    let json = workspace.run(&["models", "list", "--json"]);
    json.ended(0, &[]);
    let models: Vec<serde_json::Value> = serde_json::from_str(&json.stdout).unwrap();
    let model = |name: &str| models.iter().find(|model| model["name"] == name).unwrap();
    assert_eq!((&model("tiny")["state"], &model("tiny")["path"]), (&"not installed".into(), &serde_json::Value::Null));
    assert_eq!(model("base")["state"], "damaged");
    assert!(model("base")["path"].as_str().unwrap().ends_with("base"));
}

#[test]
fn missing_and_unknown_models_are_named_in_errors() {
    let workspace = Workspace::new();
    workspace.run(&["models", "path", "base"]).ended(1, &["base", "amanuensis models pull base"]);
    workspace.run(&["models", "path", "BASE"]).ended(1, &["\"base\" is not installed"]);
    let path = workspace.run(&["models", "path", "../x"]);
    path.ended(2, &["no model called \"../x\"", "tiny.en"]);
    assert!(!path.stderr.contains("separator"), "{path:?}");
    workspace.run(&["models", "verify", "base"]).ended(1, &["not installed"]);
    workspace.run(&["models", "remove", "base", "tiny"]).ended(1, &["\"base\"", "\"tiny\""]);
    workspace.run(&["models", "verify"]).ended(0, &["no models are installed"]);
}

#[test]
fn the_speech_detection_model_is_listed_and_cannot_transcribe() {
    let workspace = Workspace::new();
    let table = workspace.run(&["models", "list"]).stdout;
    let line = table.lines().find(|line| line.starts_with("silero-vad ")).unwrap();
    assert!(line.contains("1.24 MB") && line.contains("speech detection"), "{line}");
    let json = workspace.run(&["models", "list", "--json"]).stdout;
    let models: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    let purpose = |name: &str| models.iter().find(|model| model["name"] == name).unwrap()["purpose"].clone();
    assert_eq!([purpose("base"), purpose("silero-vad")], ["transcription", "speech detection"]);

    workspace.recording("a.wav", 1.0);
    let run = workspace.run(&["transcribe", "--model", "silero-vad", "a.wav"]);
    run.ended(2, &["\"silero-vad\" detects speech", "`base`"]);
}

#[test]
fn a_damaged_model_is_reported_and_can_be_removed() {
    let workspace = Workspace::new();
    fs::create_dir_all(workspace.path("store/base")).unwrap();
    fs::write(workspace.path("store/base/model.bin"), "none").unwrap();
    workspace.run(&["models", "verify"]).ended(1, &["base", "damaged", "manifest.json"]);
    workspace.run(&["models", "path", "base"]).ended(1, &["damaged", "amanuensis models pull base"]);
    let removed = workspace.run(&["models", "remove", "base"]);
    removed.ended(0, &[]);
    assert!(removed.stdout.starts_with("base: removed"), "{removed:?}");
    assert!(!workspace.path("store/base").exists());
}

#[test]
fn an_unreachable_hub_is_reported_with_its_address() {
    let workspace = Workspace::new();
    let pull = workspace.run(&["models", "pull", "small"]);
    pull.ended(1, &["small: fetching from", "could not be fetched", "127.0.0.1:1"]);
    let quiet = workspace.run(&["models", "pull", "--quiet", "small"]);
    quiet.ended(1, &["could not be fetched"]);
    assert_eq!(quiet.stderr.lines().count(), 1, "{quiet:?}");
}
