//! Tests of the ONNX runtime on exports of a small random model, made by `tools/export_onnx.py`. The results must
//! equal those of `PyTorch`, however the tokens are divided into steps, and whether the decoder has one graph or two.

use std::path::{Path, PathBuf};

use amanuensis_engine::{
    Batch, ComputeType, DecodeOptions, EncoderOutput, Engine, EngineOptions, Error, Frames, Runtime, Search,
};
use serde_json::Value;

/// The exports, each with the largest allowed difference from the f32 results.
const EXPORTS: [(&str, f32); 4] = [
    ("f32", 1e-3),
    ("f32/decoder_model_merged.onnx", 1e-3),
    ("f16", 2e-2),
    // In this export, the activations of all tokens of a step share one scale, so the results depend on the number of
    // tokens in a step.
    ("int8", 0.3),
];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx").join(name)
}

fn try_load(path: &Path) -> Result<Engine, Error> {
    let options = EngineOptions { threads: 2, runtime: Runtime::Onnx, ..EngineOptions::default() };
    Engine::load(path, &options)
}

fn load(name: &str) -> Engine {
    try_load(&data(name)).unwrap()
}

/// A mel window with the same values as in the export script.
fn mel() -> Vec<f32> {
    (0..3000_u32 * 80).map(|i| (i * 7919 % 1009) as f32 / 500.0 - 1.0).collect()
}

struct Expected {
    tokens: Vec<u32>,
    states: Vec<f32>,
    /// The logits, one row per token.
    logits: Vec<Vec<f32>>,
}

fn expected() -> Expected {
    let expected: Value = serde_json::from_slice(&std::fs::read(data("expected.json")).unwrap()).unwrap();
    let floats = |row: &Value| row.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect::<Vec<_>>();
    let rows = |name: &str| expected[name].as_array().unwrap().iter().map(floats).collect::<Vec<_>>();
    let tokens = expected["tokens"].as_array().unwrap().iter().map(|token| token.as_u64().unwrap() as u32).collect();
    Expected { tokens, states: rows("states").concat(), logits: rows("logits") }
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |largest, (a, b)| largest.max((a - b).abs()))
}

/// Returns the logits after a first step with `at_once` tokens, and after each of the remaining tokens, which are
/// appended one by one.
fn logits(engine: &Engine, window: &EncoderOutput, tokens: &[u32], at_once: usize) -> Vec<Vec<f32>> {
    let mut sequence = engine.start(window);
    let first = engine.step(&mut sequence, &tokens[..at_once]).unwrap();
    let rest = tokens[at_once..].iter().map(|token| engine.step(&mut sequence, &[*token]).unwrap());
    std::iter::once(first).chain(rest).collect()
}

/// Whether the ONNX runtime's int8 products are exact on this machine. On x86 without AVX-512 VNNI, the runtime adds
/// pairs of products in 16 bits, and these sums saturate.
fn has_exact_int8() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512vnni");
    #[cfg(not(target_arch = "x86_64"))]
    true
}

#[test]
fn every_export_gives_the_results_of_pytorch_with_and_without_cache() {
    let Expected { tokens, states, logits: expected } = expected();
    for (name, tolerance) in EXPORTS {
        if name == "int8" && !has_exact_int8() {
            println!("skipped: the int8 export: this machine has no avx512_vnni");
            continue;
        }
        let engine = load(name);
        assert_eq!((engine.n_mels(), engine.n_frames(), engine.n_text_ctx()), (80, Frames(3000), 24));
        let (window, found) = (engine.encode(&mel()).unwrap(), engine.states(&mel()).unwrap());
        assert!(largest_difference(&found[..states.len()], &states) <= tolerance, "{name}");
        for at_once in 1..=tokens.len() {
            let found = logits(&engine, &window, &tokens, at_once);
            for (row, expected) in found.iter().zip(&expected[at_once - 1..]) {
                let difference = largest_difference(row, expected);
                assert!(difference <= tolerance, "{name}, {at_once} at once: {difference}");
            }
        }
    }
}

#[test]
fn the_native_runtime_gives_the_same_results() {
    let Expected { tokens, states, logits: expected } = expected();
    let options = EngineOptions { compute_type: ComputeType::F32, threads: 2, ..EngineOptions::default() };
    for (name, tolerance) in [("torch", 1e-3)].into_iter().chain(EXPORTS) {
        let engine = Engine::load(&data(name), &options).unwrap();
        let (window, found) = (engine.encode(&mel()).unwrap(), engine.states(&mel()).unwrap());
        assert!(largest_difference(&found[..states.len()], &states) <= tolerance, "{name}");
        for (row, expected) in logits(&engine, &window, &tokens, 1).iter().zip(&expected) {
            assert!(largest_difference(row, expected) <= tolerance, "{name}");
        }
    }
}

#[test]
fn several_tokens_can_be_appended_to_a_cached_sequence() {
    let Expected { tokens, logits, .. } = expected();
    let engine = load("f32");
    let mut sequence = engine.start(&engine.encode(&mel()).unwrap());
    engine.step(&mut sequence, &tokens[..2]).unwrap();
    let found = engine.step(&mut sequence, &tokens[2..]).unwrap();
    assert!(largest_difference(&found, &logits[tokens.len() - 1]) <= 1e-3);
    assert_eq!(sequence.len(), tokens.len());
}

#[test]
fn self_attention_caches_grow_and_cross_attention_caches_do_not() {
    for (name, _) in EXPORTS {
        let engine = load(name);
        let mut sequence = engine.start(&engine.encode(&mel()).unwrap());
        assert!(sequence.cache_shapes().is_empty());
        for (tokens, length) in [(&[27, 33, 3][..], 3), (&[14], 4), (&[15], 5)] {
            engine.step(&mut sequence, tokens).unwrap();
            let shapes = sequence.cache_shapes();
            let names: Vec<&str> = shapes.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names[2..5], ["0.encoder.key", "0.encoder.value", "1.decoder.key"], "{name}");
            for (cache, shape) in &shapes {
                let positions = if cache.contains("decoder") { length } else { 1500 };
                assert_eq!(*shape, [1, 2, positions, 4], "{name}, {cache}");
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_graphs_or_on_the_batch() {
    let searches = [
        Search::Greedy,
        Search::Beam { size: 4, patience: 1.0 },
        Search::Sample { temperature: 0.8, best_of: 3, seed: 1 },
    ];
    let options = |search| DecodeOptions { search, ..DecodeOptions::default() };
    let tokens = |name: &str| {
        let engine = load(name);
        let window = engine.encode(&mel()).unwrap();
        let alone = searches.map(|search| engine.decode(&window, &options(search)).unwrap());
        let mut batch = Batch::new(&engine);
        for (ticket, search) in searches.into_iter().enumerate() {
            batch.join(ticket as u64, &window, &options(search)).unwrap();
        }
        while !batch.is_empty() {
            for (ticket, decoded) in batch.step().unwrap() {
                assert_eq!(decoded, alone[ticket as usize], "{name}");
            }
        }
        alone.map(|decoded| decoded.tokens)
    };
    assert_eq!(tokens("f32"), tokens("f32/decoder_model_merged.onnx"));
}

#[test]
fn unsupported_requests_are_errors() {
    let engine = load("f32");
    let window = engine.encode(&mel()).unwrap();
    let words = engine.align(&window, &DecodeOptions::default(), &[1, 2], 100);
    assert!(matches!(words, Err(Error::NoAttention)));
    // The runtime does not check tokens, so a token that is not in the vocabulary is detected only when the graph
    // runs.
    let error = engine.step(&mut engine.start(&window), &[1000]).unwrap_err();
    assert!(matches!(error, Error::Graph { .. }), "{error}");
    // After an error while the graph runs, the batch must be empty.
    let mut batch = Batch::new(&engine);
    batch.join(0, &window, &DecodeOptions { previous: vec![1000], ..DecodeOptions::default() }).unwrap();
    assert!(batch.step().is_err() && batch.is_empty());
}

#[test]
fn each_missing_or_damaged_file_has_its_own_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let assert_error = |expected: &str| {
        let error = try_load(directory.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    assert_error("looked for encoder_model.onnx");
    let copy = |from: &str, to: &str| assert!(std::fs::copy(data(from), file(to)).unwrap() > 0);
    for name in ["encoder_model.onnx", "decoder_model.onnx", "decoder_with_past_model.onnx", "vocabulary.txt"] {
        copy(&format!("f32/{name}"), name);
    }
    assert_error("the number of text positions");
    copy("f32/config.json", "config.json");
    assert!(try_load(directory.path()).is_ok());
    copy("f32/decoder_model.onnx", "decoder_with_past_model.onnx");
    assert_error("no ONNX export");
    copy("f32/decoder_with_past_model.onnx", "decoder_with_past_model.onnx");
    copy("f32/encoder_model.onnx", "decoder_model.onnx");
    assert_error("decoder_model.onnx cannot be used: it has no input `input_ids`");
    let whole = std::fs::read(data("f32/encoder_model.onnx")).unwrap();
    std::fs::write(file("encoder_model.onnx"), &whole[..whole.len() / 2]).unwrap();
    assert_error("encoder_model.onnx cannot be used: it cannot be loaded");
}

#[test]
fn decoders_are_recognised_by_their_inputs_not_by_their_names() {
    const NAMES: [&str; 3] = ["decoder_model.onnx", "decoder_with_past_model.onnx", "decoder_model_merged.onnx"];
    let [first, cached, merged] = NAMES;
    let load = |decoders: &[(&str, &str)], path: &str| {
        let directory = tempfile::tempdir().unwrap();
        let others = ["encoder_model.onnx", "config.json", "vocabulary.txt"].map(|name| (name, name));
        for (from, to) in others.iter().chain(decoders) {
            std::fs::copy(data("f32").join(from), directory.path().join(to)).unwrap();
        }
        try_load(&directory.path().join(path)).map(drop)
    };
    for decoders in [
        // Each pair is a graph and the file name that it gets. The first four lists contain a merged decoder under
        // the file name of another graph. In the third and the fourth list, one half of a split decoder is added.
        &[(merged, first)][..],
        &[(merged, cached)],
        &[(cached, first), (merged, cached)],
        &[(first, first), (merged, cached)],
        // The other three lists contain both halves of a split decoder, at least one of them under the file name of
        // another graph.
        &[(cached, first), (first, cached)],
        &[(first, first), (cached, merged)],
        &[(cached, first), (first, cached), (merged, merged)],
    ] {
        load(decoders, "").unwrap_or_else(|error| panic!("{decoders:?}: {error}"));
        for (_, name) in decoders {
            load(decoders, name).unwrap_or_else(|error| panic!("{decoders:?}, {name}: {error}"));
        }
    }
    for decoders in [&[(first, first)][..], &[(cached, cached)], &[(first, first), (first, merged)]] {
        assert!(matches!(load(decoders, ""), Err(Error::NoExport { .. })), "{decoders:?}");
    }
}
