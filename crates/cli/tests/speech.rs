//! Tests with real speech and a real model. A test is skipped if its recordings or its model are missing.

mod common;

use std::path::PathBuf;

use amanuensis_models::Store;
use common::Workspace;

/// Returns the directory of the recordings and the directory of the model `name`. If one of them is missing, the
/// error says which.
fn speech_and_model(name: &str) -> Result<(PathBuf, PathBuf), String> {
    let data = std::env::var_os("AMANUENSIS_TEST_DATA").ok_or("AMANUENSIS_TEST_DATA is not set")?;
    let model = Store::open_default().and_then(|store| store.path(name)).map_err(|error| error.to_string())?;
    Ok((PathBuf::from(data).join("speech"), model))
}

#[test]
fn a_speech_is_transcribed() {
    let (speech, model) = match speech_and_model("base") {
        Ok(found) => found,
        Err(missing) => return println!("skipped: {missing}"),
    };
    let workspace = Workspace::new();
    let recording = speech.join("jfk-flac-44k-stereo.flac");
    let arguments = ["transcribe", "--offline", "--format", "json", "--model", model.to_str().unwrap()];
    let run = workspace.run(&[&arguments[..], &[recording.to_str().unwrap()]].concat());
    run.ended(0, &[]);
    let transcript: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&transcript["language"], &transcript["model"]), (&"english".into(), &"base".into()));
    let text = transcript["text"].as_str().unwrap();
    assert!(text.ends_with("ask what you can do for your country."), "{text}");
}

#[test]
fn segments_do_not_depend_on_batch_size_or_threads() {
    let (speech, model) = match speech_and_model("tiny.en") {
        Ok(found) => found,
        Err(missing) => return println!("skipped: {missing}"),
    };
    let workspace = Workspace::new();
    let recording = speech.join("long-lj001.flac");
    let segments = |batch_size: &str, threads: &str| {
        let options = ["--batch-size", batch_size, "--threads", threads, "--format", "json"];
        let arguments = ["transcribe", "--offline", "--model", model.to_str().unwrap(), recording.to_str().unwrap()];
        let run = workspace.run(&[&arguments[..], &options].concat());
        run.ended(0, &[]);
        let transcript: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        transcript["segments"].clone()
    };
    let expected = segments("1", "1");
    assert!(expected.as_array().unwrap().len() > 20);
    for (batch_size, threads) in [("1", "2"), ("4", "1"), ("16", "2")] {
        assert_eq!(segments(batch_size, threads), expected, "batch size {batch_size}, {threads} threads");
    }
}
