//! Tests of `amanuensis inspect`: it shows the contents of model files as tables and as JSON.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use amanuensis_weights::DType;
use amanuensis_weights::fixture::{Dimensions, whisper, write_ggml};
use common::Workspace;
use serde_json::Value;

/// The path of the ONNX model `name` in the test data of the crate `amanuensis-weights`.
fn export(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../weights/tests/data/onnx").join(name)
}

fn json(workspace: &Workspace, path: &str, code: i32) -> Value {
    let run = workspace.run(&["inspect", "--json", path]);
    run.ended(code, &[]);
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn a_model_is_shown_with_sizes_tokens_and_tensors() {
    let workspace = Workspace::new();
    workspace.model("model");
    let contents = json(&workspace, "./model", 0);
    assert_eq!(contents["format"], "CTranslate2");
    let encoder = r#"{"positions": 1500, "width": 16, "layers": 1, "heads": 2, "inputs": 80}"#;
    assert_eq!(contents["encoder"], serde_json::from_str::<Value>(encoder).unwrap());
    assert_eq!(contents["vocabulary"]["special"][0]["name"], "<|endoftext|>");
    assert_eq!(contents["vocabulary"]["special"][0]["id"], 26);
    assert_eq!(contents["vocabulary"]["last_timestamp"], 26 + 8 + 1500);
    let tensors = contents["tensors"].as_array().unwrap();
    let bias = tensors.iter().find(|tensor| tensor["name"] == "encoder.conv1.bias").unwrap();
    assert_eq!((&bias["dtype"], &bias["shape"][0], &bias["bytes"]), (&"float32".into(), &16.into(), &64.into()));

    let run = workspace.run(&["inspect", "./model"]);
    run.ended(0, &[]);
    for text in ["CTranslate2", "80 mel bins, 1500 positions, 1 layers of width 16, 2 heads", "26 <|endoftext|>"] {
        assert!(run.stdout.contains(text), "no {text:?} in {run:?}");
    }

    // If the vocabulary is missing, the weights are still shown, but the model is reported as incomplete.
    fs::remove_file(workspace.path("model/vocabulary.txt")).unwrap();
    let contents = json(&workspace, "./model/model.bin", 1);
    assert!(contents["vocabulary"].is_null() && contents["problem"].as_str().unwrap().contains("vocabulary.json"));
    let run = workspace.run(&["inspect", "./model"]);
    run.ended(1, &[]);
    assert!(
        run.stdout.contains("problem     no vocabulary in") && run.stdout.contains("encoder.conv1.bias"),
        "{run:?}"
    );
}

#[test]
fn a_ggml_file_contains_its_vocabulary() {
    let workspace = Workspace::new();
    let sizes = Dimensions {
        n_mels: 80,
        n_state: 32,
        n_ff: 32,
        n_audio_ctx: 10,
        n_audio_layer: 1,
        n_text_ctx: 20,
        n_text_layer: 2,
        n_vocab: 1 + 2 + 2 + 6 + 11,
    };
    let path = workspace.path("ggml-tiny.bin");
    write_ggml(&path, &whisper(&sizes, 1), [4, 2], DType::Q5_0, &[b"a".to_vec()]).unwrap();
    let run = workspace.run(&["inspect", "./ggml-tiny.bin"]);
    run.ended(0, &[]);
    for text in
        ["ggml", "2 layers of width 32, 2 heads", "22 tokens, English only, timestamps 11 to 21", "4 <|zh|>", "q5_0"]
    {
        assert!(run.stdout.contains(text), "no {text:?} in {run:?}");
    }
}

#[test]
fn onnx_graphs_are_shown_with_inputs_and_outputs() {
    let workspace = Workspace::new();
    let whole = export("f32");
    let contents = json(&workspace, whole.to_str().unwrap(), 1);
    assert_eq!(contents["format"], "ONNX");
    let input = r#"{"name": "input_features", "dtype": "float32", "shape": ["batch_size", 4, 24]}"#;
    assert_eq!(contents["graphs"][0]["inputs"][0], serde_json::from_str::<Value>(input).unwrap());
    let outputs = contents["graphs"][1]["outputs"].as_array().unwrap();
    let names: Vec<&str> = outputs.iter().map(|output| output["name"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["logits", "present.0.decoder.key"]);

    // A decoder graph alone, without the other files, is not a complete model.
    fs::copy(whole.join("decoder_model.onnx"), workspace.path("decoder_with_past_model.onnx")).unwrap();
    let run = workspace.run(&["inspect", "./decoder_with_past_model.onnx"]);
    run.ended(1, &[]);
    for text in ["input_ids", "int64", "present.0.encoder.value", "give the directory of an export"] {
        assert!(run.stdout.contains(text), "no {text:?} in {run:?}");
    }
}

#[test]
fn a_file_that_is_not_a_model_is_an_error() {
    let workspace = Workspace::new();
    fs::write(workspace.path("notes.txt"), "nothing").unwrap();
    workspace.run(&["inspect", "./notes.txt"]).ended(1, &["unknown format", "ggml", "ONNX"]);
    workspace.run(&["inspect", "./nothing"]).ended(2, &["nothing"]);
    workspace.run(&["inspect", "base"]).ended(1, &["base"]);
}
