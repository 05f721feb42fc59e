//! Tests of `amanuensis trace`: the same model in different formats gives the same values, and an altered weight is
//! reported in the first stage (encoder or decoding step) that uses it.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use amanuensis_weights::DType;
use amanuensis_weights::fixture::{Dimensions, Tensors, whisper, write_safetensors};
use common::{Run, Workspace};
use serde_json::{Value, json};

const SIZES: Dimensions = Dimensions {
    n_mels: 80,
    n_state: 16,
    n_ff: 32,
    n_audio_ctx: 1500,
    n_audio_layer: 1,
    n_text_ctx: 24,
    n_text_layer: 2,
    n_vocab: 34 + 1501,
};

/// The path of the export `name` of a small model with random weights. There are exports in ONNX and safetensors
/// format.
fn export(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/data/onnx").join(name)
}

fn write(workspace: &Workspace, name: &str, tensors: &Tensors) {
    let directory = workspace.path(name);
    fs::create_dir(&directory).unwrap();
    write_safetensors(&directory.join("model.safetensors"), tensors, DType::F32).unwrap();
    fs::copy(export("torch/vocabulary.txt"), directory.join("vocabulary.txt")).unwrap();
    let config = r#"{"encoder_attention_heads": 2, "decoder_attention_heads": 2}"#;
    fs::write(directory.join("config.json"), config).unwrap();
}

/// Runs `amanuensis trace` to compare the model `model` with the model `with`, over up to ten decoding steps. `more`
/// holds additional arguments.
fn compare(workspace: &Workspace, model: &str, with: &str, more: &[&str]) -> Run {
    let arguments = ["trace", "--start", "0", "--steps", "10", "--model", model, "--compare-model", with];
    workspace.run(&[&arguments, more, &["a.wav"]].concat())
}

/// Asserts that the models differ, and that the report names `stage` as the first stage of the computation where they
/// do.
#[track_caller]
fn fails_in(run: &Run, stage: &str) {
    run.ended(1, &[]);
    let verdict = run.stdout.lines().last().unwrap_or_default();
    assert!(verdict.starts_with(stage), "{run:?}");
}

/// Returns the values of the tensor `name`, so that the test can change them.
fn values_of<'t>(tensors: &'t mut Tensors, name: &str) -> &'t mut [f32] {
    &mut tensors.get_mut(name).unwrap().1
}

#[test]
fn an_altered_weight_is_reported_in_the_stage_that_uses_it() {
    let workspace = Workspace::new();
    workspace.recording("a.wav", 4.0);
    let tensors = whisper(&SIZES, 3);
    write(&workspace, "model", &tensors);
    write(&workspace, "same", &tensors);
    let run = compare(&workspace, "./model", "./same", &[]);
    run.ended(0, &[]);
    assert!(run.stdout.ends_with("every stage is within 0.001\n"), "{}", run.stdout);

    let altered = |name: &str, alter: &dyn Fn(&mut Tensors)| {
        let mut tensors = tensors.clone();
        alter(&mut tensors);
        write(&workspace, name, &tensors);
        compare(&workspace, "./model", &format!("./{name}"), &[])
    };
    fails_in(&altered("a", &|tensors| values_of(tensors, "encoder.layers.0.fc2.bias")[3] += 2.0), "encoder: ");
    fails_in(&altered("b", &|tensors| values_of(tensors, "decoder.layers.1.fc1.bias").fill(3.0)), "first logits: ");
    // The prompt of an English-only model is one token, so decoding step 6 is the first that uses the sixth position.
    fails_in(
        &altered("c", &|tensors| values_of(tensors, "decoder.embed_positions.weight")[5 * 16..6 * 16].fill(1.0)),
        "logits of step 6: ",
    );
    fails_in(
        &altered("d", &|tensors| values_of(tensors, "encoder.layer_norm.bias")[0] = f32::NAN),
        "encoder: NaN or infinite values: 0 against 1500",
    );
}

#[test]
fn onnx_graphs_agree_with_the_native_engine_until_one_is_altered() {
    let workspace = Workspace::new();
    workspace.recording("a.wav", 4.0);
    let torch = export("torch").to_str().unwrap().to_owned();
    let against = |directory: &Path, more: &[&str]| {
        let more = [&["--compare-runtime", "onnx"], more].concat();
        compare(&workspace, &torch, directory.to_str().unwrap(), &more)
    };
    against(&export("f32"), &[]).ended(0, &[]);
    let graphs = export("f32");
    compare(&workspace, graphs.to_str().unwrap(), graphs.to_str().unwrap(), &["--compare-runtime", "onnx"])
        .ended(0, &[]);
    against(&export("f32/decoder_model_merged.onnx"), &[]).ended(0, &[]);
    against(&export("f16"), &["--tolerance", "0.02"]).ended(0, &[]);
    against(&export("int8"), &["--tolerance", "0.5"]).ended(0, &[]);
    fails_in(&against(&export("int8"), &[]), "encoder: ");

    let copy = workspace.path("copy");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(export("f32")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    against(&copy, &[]).ended(0, &[]);
    // These are the bytes of the first row of the encoder's positional embedding: sines of 0, followed by cosines of
    // 0.
    let row: Vec<u8> = [0.0_f32, 1.0].into_iter().flat_map(|value| value.to_le_bytes().repeat(4)).collect();
    let mut graph = fs::read(copy.join("encoder_model.onnx")).unwrap();
    let at = graph.windows(row.len()).position(|bytes| bytes == row).unwrap();
    graph[at..at + 4].copy_from_slice(&9.0_f32.to_le_bytes());
    fs::write(copy.join("encoder_model.onnx"), graph).unwrap();
    fails_in(&against(&copy, &[]), "encoder: ");
}

#[test]
fn json_contains_every_step() {
    let workspace = Workspace::new();
    workspace.recording("a.wav", 2.0);
    let torch = export("torch");
    let (torch, graphs) = (torch.to_str().unwrap(), export("f32"));
    let run = compare(&workspace, graphs.to_str().unwrap(), torch, &["--runtime", "onnx", "--json"]);
    run.ended(0, &[]);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["sides"][0]["compute_type"], Value::Null);
    assert_eq!(report["sides"][1]["compute_type"], json!("f32"));
    assert_eq!((&report["failure"], &report["start"], &report["seconds"]), (&Value::Null, &json!(0.0), &json!(2.0)));
    assert_eq!(report["mel"]["difference"], json!({ "rms": 0.0, "largest": 0.0 }));
    assert_eq!(report["prompt"], json!([{ "token": 27, "text": "<|startoftranscript|>" }]));
    let steps = report["steps"].as_array().unwrap();
    for (index, step) in steps.iter().enumerate() {
        assert_eq!(step["top"].as_array().unwrap().len(), 5);
        let caches = step["caches"].as_array().unwrap();
        let shape = |name: &str| caches.iter().find(|cache| cache["name"] == name).unwrap()["shape"].clone();
        assert_eq!(shape("1.decoder.value"), json!([1, 2, index + 1, 4]));
        assert_eq!(shape("1.encoder.key"), json!([1, 2, 1500, 4]));
        assert!(step["difference"]["rms"].as_f64().unwrap() < 1e-4, "{step}");
        assert!(step["cached_difference"]["rms"].as_f64().unwrap() < 1e-4, "{step}");
    }
    // Decoding ends when the model generates the end token, or after ten steps.
    assert!(steps.len() == 10 || steps.last().unwrap()["text"] == "<|endoftext|>");
}

#[test]
fn invalid_combinations_are_rejected() {
    let workspace = Workspace::new();
    workspace.recording("a.wav", 2.0);
    let (torch, graphs) = (export("torch"), export("f32"));
    let (torch, graphs) = (torch.to_str().unwrap(), graphs.to_str().unwrap());
    let trace = |arguments: &[&str]| workspace.run(&[&["trace", "a.wav"], arguments].concat());
    let native = "for the runtime `native` only";
    trace(&["--model", graphs, "--runtime", "onnx", "--compute-type", "f32"]).ended(2, &["--compute-type", native]);
    trace(&["--compare-runtime", "onnx", "--compare-compute-type", "int8"])
        .ended(2, &["--compare-compute-type", native]);
    trace(&["--model", torch, "--runtime", "onnx", "--start", "0"])
        .ended(1, &["no ONNX export at", "encoder_model.onnx"]);
    trace(&["--model", torch, "--start", "2.5"]).ended(1, &["a.wav: the recording ends before 2.50 s"]);
    trace(&["--model", torch, "--language", "de", "--start", "0"]).ended(2, &["torch\" does not know german"]);
    trace(&["--model", torch, "--language", "en", "--start", "0"]).ended(0, &[]);
    trace(&["--model", torch, "--start", "-1"]).ended(2, &[]);
    trace(&["--model", torch, "--tolerance", "NaN"]).ended(2, &[]);
    // If the models have different sizes, the comparison fails in the first stage where the number of values differs.
    workspace.model("other");
    fails_in(&compare(&workspace, torch, "./other", &[]), "encoder: 12000 values against 24000");
}

#[test]
fn the_onnx_runtime_transcribes_like_the_native_engine() {
    let workspace = Workspace::new();
    workspace.recording("a.wav", 2.0);
    let (torch, graphs) = (export("torch"), export("f32"));
    let (torch, graphs) = (torch.to_str().unwrap(), graphs.to_str().unwrap());
    let own = workspace.run(&["transcribe", "--compute-type", "f32", "--model", torch, "a.wav"]);
    own.ended(0, &[]);
    let onnx = |arguments: &[&str]| {
        workspace.run(&[&["transcribe", "--runtime", "onnx", "--model", graphs, "a.wav"], arguments].concat())
    };
    let run = onnx(&[]);
    run.ended(0, &[]);
    assert_eq!(run.stdout, own.stdout);
    assert!(!run.stdout.is_empty());
    onnx(&["--word-timestamps", "-f", "json"]).ended(2, &["which ONNX exports do not return"]);
    onnx(&["--compute-type", "int8"]).ended(2, &["--compute-type is for --runtime native only"]);
}
