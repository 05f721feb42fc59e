//! Tests of loading models in the formats of other tools: ggml files, which contain a whole model, and ONNX exports.

use std::fs;
use std::path::{Path, PathBuf};

use amanuensis_engine::{ComputeType, DecodeOptions, Engine, EngineOptions};
use amanuensis_weights::DType;
use amanuensis_weights::fixture::{Dimensions, whisper, write_ggml, write_safetensors};

fn load(path: &Path, compute_type: ComputeType) -> Engine {
    Engine::load(path, &EngineOptions { compute_type, threads: 1, ..EngineOptions::default() }).unwrap()
}

/// Returns the encoder's states of a window, and the logits after two tokens.
fn run(engine: &Engine, tokens: [u32; 2]) -> (Vec<f32>, Vec<f32>) {
    let n_values = engine.n_frames().0 * engine.n_mels();
    let mel: Vec<f32> = (0..n_values).map(|i| ((i * 7919) % 1009) as f32 * 0.002 - 1.0).collect();
    let window = engine.encode(&mel).unwrap();
    let logits = engine.step(&mut engine.start(&window), &tokens).unwrap();
    (engine.states(&mel).unwrap(), logits)
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |largest, (a, b)| largest.max((a - b).abs()))
}

#[test]
fn a_ggml_file_loads_like_the_same_model_from_hugging_face() {
    let sizes = Dimensions {
        n_mels: 7,
        n_state: 32,
        n_ff: 64,
        n_audio_ctx: 20,
        n_audio_layer: 2,
        n_text_ctx: 30,
        n_text_layer: 2,
        n_vocab: 67,
    };
    let tensors = whisper(&sizes, 4);
    let directory = tempfile::tempdir().unwrap();
    let (ggml, hugging_face) = (directory.path().join("ggml"), directory.path().join("hf"));
    fs::create_dir_all(&ggml).unwrap();
    fs::create_dir_all(&hugging_face).unwrap();

    // The vocabulary: 36 text tokens, end and start, two languages, six other special tokens, and 21 timestamps.
    let text: Vec<Vec<u8>> =
        [&b" "[..], b"-", b"(", b"[", b" a", b"\xe2\x82"].into_iter().map(<[u8]>::to_vec).collect();
    let text: Vec<Vec<u8>> = text.into_iter().chain((b'a'..=b'z').chain(b'0'..=b'3').map(|byte| vec![byte])).collect();
    write_safetensors(&hugging_face.join("model.safetensors"), &tensors, DType::F32).unwrap();
    let config = r#"{"encoder_attention_heads": 2, "decoder_attention_heads": 4}"#;
    fs::write(hugging_face.join("config.json"), config).unwrap();
    let letters: String = ('a'..='z').chain('0'..='3').flat_map(|c| [c, '\n']).collect();
    let special = "<|endoftext|>\n<|startoftranscript|>\n<|en|>\n<|zh|>\n<|translate|>\n<|transcribe|>\n<|startoflm|>\n\
        <|startofprev|>\n<|nospeech|>\n<|notimestamps|>\n";
    let list = format!("\u{120}\n-\n(\n[\n\u{120}a\n\u{e2}\u{124}\n{letters}{special}");
    fs::write(hugging_face.join("vocabulary.txt"), list).unwrap();

    let tokens = [37, 44];
    for (dtype, tolerance) in
        [(DType::F32, 0.0), (DType::F16, 0.01), (DType::Q8_0, 0.1), (DType::Q5_1, 1.0), (DType::Q4_0, 2.0)]
    {
        write_ggml(&ggml.join("ggml-tiny.bin"), &tensors, [2, 4], dtype, &text).unwrap();
        // After rounding to float16, some values are quantised to different int8 values, so the tolerance is larger.
        let int8_tolerance = if dtype == DType::F32 { 0.0 } else { tolerance + 0.1 };
        for (compute_type, tolerance) in [(ComputeType::F32, tolerance), (ComputeType::Int8, int8_tolerance)] {
            let (ours, theirs) = (load(&ggml, compute_type), load(&hugging_face, compute_type));
            let (states, logits) = run(&ours, tokens);
            let (expected_states, expected_logits) = run(&theirs, tokens);
            let peak = expected_logits.iter().fold(0.0_f32, |peak, x| peak.max(x.abs()));
            assert!(largest_difference(&states, &expected_states) <= tolerance, "{dtype}, {compute_type}");
            assert!(largest_difference(&logits, &expected_logits) <= tolerance * peak, "{dtype}, {compute_type}");
            let (ours, theirs) = (ours.vocabulary(), theirs.vocabulary());
            assert_eq!(ours.decode(&[4, 6, 5, 40]), theirs.decode(&[4, 6, 5, 40]));
            assert_eq!(ours.languages().collect::<Vec<_>>(), ["en", "zh"]);
            assert_eq!(ours.timestamp(66), theirs.timestamp(66));
        }
    }

    let engine = load(&ggml, ComputeType::F32);
    // The default suppress list contains both brackets and the space. The space is listed because a dash before a
    // word is encoded as a space and a dash, and only the first token is listed.
    assert_eq!(engine.vocabulary().non_speech_tokens(), [0, 2, 3]);
    let n_values = engine.n_frames().0 * engine.n_mels();
    let window = engine.encode(&vec![0.5; n_values]).unwrap();
    let decoded = engine.decode(&window, &DecodeOptions { language: Some("en".into()), ..Default::default() }).unwrap();
    assert!([0, 2, 3].iter().all(|token| !decoded.tokens.contains(token)), "{decoded:?}");
}

/// Copies an export from the tests of `amanuensis-weights` and adds a vocabulary and, if requested, a configuration.
fn export(form: &str, directory: &Path, with_config: bool) {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../weights/tests/data/onnx").join(form);
    let files =
        if data.is_dir() { data.read_dir().unwrap().map(|file| file.unwrap().path()).collect() } else { vec![data] };
    for file in files {
        fs::copy(&file, directory.join(file.file_name().unwrap())).unwrap();
    }
    let letters: String = ('a'..='s').flat_map(|c| [c, '\n']).collect();
    let special = "<|endoftext|>\n<|startoftranscript|>\n<|en|>\n<|translate|>\n<|transcribe|>\n<|startofprev|>\n\
        <|nospeech|>\n<|notimestamps|>\n";
    fs::write(directory.join("vocabulary.txt"), letters + special).unwrap();
    if with_config {
        let config = r#"{"encoder_attention_heads": 2, "decoder_attention_heads": 2}"#;
        fs::write(directory.join("config.json"), config).unwrap();
    }
}

#[test]
fn onnx_exports_give_the_results_of_the_original_model() {
    let directory = tempfile::tempdir().unwrap();
    export("model.safetensors", directory.path(), true);
    let (states, logits) = run(&load(directory.path(), ComputeType::F32), [20, 23]);
    for (form, tolerance) in [
        ("f32", 0.0),
        ("nameless", 0.0),
        ("external", 0.0),
        ("merged", 0.0),
        ("f16", 0.01),
        ("int8", 0.3),
        ("uint8", 0.3),
        ("qdq", 0.3),
        ("merged-int8", 0.3),
    ] {
        let directory = tempfile::tempdir().unwrap();
        // Without a configuration file, the number of heads is read from the graph.
        export(form, directory.path(), false);
        let (ours, our_logits) = run(&load(directory.path(), ComputeType::F32), [20, 23]);
        let difference = largest_difference(&ours, &states).max(largest_difference(&our_logits, &logits));
        assert!(difference <= tolerance, "{form}: {difference}");
        // Int8 results must be close to the f32 results, whether the file stores int8 or the engine quantises while
        // loading.
        let (ours, _) = run(&load(directory.path(), ComputeType::Int8), [20, 23]);
        let difference = largest_difference(&ours, &states);
        assert!(difference <= tolerance + 0.3, "{form}, int8: {difference}");
    }
}
