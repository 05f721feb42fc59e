//! Tests with small random models. They check properties that hold for any weights, dimensions and file format.

use std::fmt::Write as _;
use std::path::Path;

use amanuensis_engine::{Batch, ComputeType, DecodeOptions, Engine, EngineOptions, Error, Frames, Search, Step, Task};
use amanuensis_weights::DType;
use amanuensis_weights::fixture::{Dimensions, Tensors, whisper, write_ctranslate2, write_safetensors};

/// Dimensions that differ from those of any real model: an odd number of mel bins, different numbers of layers and
/// heads, and widths that are not a multiple of a tile.
const SIZES: Dimensions = Dimensions {
    n_mels: 7,
    n_state: 24,
    n_ff: 50,
    n_audio_ctx: 20,
    n_audio_layer: 2,
    n_text_ctx: 130,
    n_text_layer: 3,
    n_vocab: 71,
};
const HEADS: [usize; 2] = [2, 3];
const THREADS: [usize; 2] = [1, 3];

/// A vocabulary of 36 text tokens and the special tokens. The remaining 21 ids of the model are timestamps.
fn vocabulary() -> String {
    let mut list: String = ('a'..='z').chain('0'..='9').fold(String::new(), |mut list, c| {
        writeln!(list, "{c}").unwrap();
        list
    });
    for name in ["endoftext", "startoftranscript", "en", "de", "translate", "transcribe", "startofprev", "nospeech"] {
        writeln!(list, "<|{name}|>").unwrap();
    }
    list + "<|notimestamps|>\n"
}

fn write_model(directory: &Path, tensors: &Tensors, dtype: DType) {
    write_ctranslate2(&directory.join("model.bin"), tensors, HEADS, dtype).unwrap();
    std::fs::write(directory.join("vocabulary.txt"), vocabulary()).unwrap();
    std::fs::write(directory.join("config.json"), r#"{"suppress_ids": [3], "suppress_ids_begin": [5, 36]}"#).unwrap();
}

fn load(directory: &Path, compute_type: ComputeType, threads: usize) -> Engine {
    Engine::load(directory, &EngineOptions { compute_type, threads, ..EngineOptions::default() }).unwrap()
}

fn engine(compute_type: ComputeType, threads: usize) -> Engine {
    let directory = tempfile::tempdir().unwrap();
    write_model(directory.path(), &whisper(&SIZES, 1), DType::F16);
    load(directory.path(), compute_type, threads)
}

fn mel(seed: usize) -> Vec<f32> {
    (0..40 * 7).map(|i| (((i + seed * 31) * 7919) % 1009) as f32 * 0.002 - 1.0).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |largest, (a, b)| largest.max((a - b).abs()))
}

#[test]
fn cached_steps_equal_uncached_ones() {
    for (compute_type, tolerance) in [(ComputeType::F32, 1e-4), (ComputeType::Int8, 1e-4)] {
        let engine = engine(compute_type, 2);
        let window = engine.encode(&mel(0)).unwrap();
        let tokens: Vec<u32> = (0..100).map(|i| (i * 7) % 36).collect();
        let mut cached = engine.start(&window);
        for length in 1..=tokens.len() {
            let step = engine.step(&mut cached, &tokens[length - 1..length]).unwrap();
            let whole = engine.step(&mut engine.start(&window), &tokens[..length]).unwrap();
            assert!(largest_difference(&step, &whole) <= tolerance, "{compute_type}, step {length}");
        }
    }
}

#[test]
fn logits_do_not_depend_on_the_batch_or_the_number_of_threads() {
    for compute_type in [ComputeType::F32, ComputeType::Int8] {
        let mut first: Option<Vec<u32>> = None;
        for threads in THREADS {
            let engine = engine(compute_type, threads);
            let windows: Vec<_> = (0..3).map(|seed| engine.encode(&mel(seed)).unwrap()).collect();
            let prompts: [&[u32]; 3] = [&[37, 38], &[1, 2, 3, 4, 5], &[9]];
            let mut together: Vec<_> = windows.iter().map(|window| engine.start(window)).collect();
            let mut alone: Vec<_> = windows.iter().map(|window| engine.start(window)).collect();
            let mut bits = Vec::new();
            for round in 0..3 {
                let next = [[round], [round + 5], [round + 9]];
                let tokens = |i: usize| if round == 0 { prompts[i] } else { &next[i][..] };
                let steps = together.iter_mut().enumerate().map(|(i, sequence)| Step { sequence, tokens: tokens(i) });
                let logits = engine.step_batch(&mut steps.collect::<Vec<_>>()).unwrap();
                for (i, sequence) in alone.iter_mut().enumerate() {
                    let row = engine.step(sequence, tokens(i)).unwrap();
                    assert_eq!(row, logits[i * row.len()..][..row.len()], "{compute_type}, sequence {i}");
                }
                bits.extend(logits.into_iter().map(f32::to_bits));
            }
            assert_eq!(*first.get_or_insert_with(|| bits.clone()), bits, "{compute_type}, {threads} threads");
        }
    }
}

#[test]
fn every_file_format_gives_the_same_model() {
    let directory = tempfile::tempdir().unwrap();
    let tensors = whisper(&SIZES, 2);
    write_model(directory.path(), &tensors, DType::F32);
    let hugging_face = tempfile::tempdir().unwrap();
    write_safetensors(&hugging_face.path().join("model.safetensors"), &tensors, DType::F32).unwrap();
    std::fs::write(hugging_face.path().join("vocabulary.txt"), vocabulary()).unwrap();
    let config = r#"{"encoder_attention_heads": 2, "decoder_attention_heads": 3}"#;
    std::fs::write(hugging_face.path().join("config.json"), config).unwrap();
    for compute_type in [ComputeType::F32, ComputeType::Int8] {
        let run = |path: &Path| {
            let engine = load(path, compute_type, 1);
            assert_eq!((engine.n_mels(), engine.n_frames(), engine.n_text_ctx()), (7, Frames(40), 130));
            let window = engine.encode(&mel(0)).unwrap();
            let logits = engine.step(&mut engine.start(&window), &[37, 38]).unwrap();
            (engine.states(&mel(0)).unwrap(), logits)
        };
        assert_eq!(run(directory.path()), run(hugging_face.path()));
    }
}

#[test]
fn int8_weights_in_the_file_are_used_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let tensors = whisper(&SIZES, 3);
    write_model(directory.path(), &tensors, DType::Int8);
    let states = |compute_type| load(directory.path(), compute_type, 1).states(&mel(0)).unwrap();
    let (int8, f32) = (states(ComputeType::Int8), states(ComputeType::F32));
    let difference = largest_difference(&int8, &f32);
    assert!(difference > 0.0 && difference < 0.2, "{difference}");
}

#[test]
fn decoded_tokens_follow_the_timestamp_rules() {
    let options = |timestamps| DecodeOptions { timestamps, ..DecodeOptions::default() };
    for seed in 0..8 {
        let engine = engine(ComputeType::Int8, 1);
        let window = engine.encode(&mel(seed)).unwrap();
        let decoded = engine.decode(&window, &options(true)).unwrap();
        let vocabulary = engine.vocabulary();
        assert!(decoded.tokens.len() < SIZES.n_text_ctx && decoded.avg_logprob < 0.0);
        assert!((0.0..=1.0).contains(&decoded.no_speech_prob));
        assert!(decoded.tokens.iter().all(|token| *token < 36 && *token != 3 || vocabulary.is_timestamp(*token)));
        let times: Vec<f64> = decoded.tokens.iter().filter_map(|token| vocabulary.timestamp(*token)).collect();
        assert!(vocabulary.is_timestamp(decoded.tokens[0]) && times.is_sorted());
        // Times come in pairs of segment start and end. The end is always later than the start.
        assert!(times.as_chunks::<2>().0.iter().all(|[start, end]| start < end), "{times:?}");
        let plain = engine.decode(&window, &options(false)).unwrap();
        assert!(plain.tokens.iter().all(|token| *token < 36 && *token != 3) && plain.tokens[0] != 5);
    }
}

#[test]
fn unsupported_requests_are_errors() {
    let engine = engine(ComputeType::Int8, 1);
    let window = engine.encode(&mel(0)).unwrap();
    let decode = |language: Option<&str>, task| {
        engine
            .decode(&window, &DecodeOptions { language: language.map(str::to_owned), task, ..DecodeOptions::default() })
    };
    // This model has fewer tokens than a multilingual vocabulary, so it counts as English-only.
    assert!(decode(Some("en"), Task::Transcribe).is_ok());
    assert!(matches!(decode(Some("de"), Task::Transcribe), Err(Error::EnglishOnly(_))));
    assert!(matches!(decode(None, Task::Translate), Err(Error::EnglishOnly(_))));
    assert!(engine.detect_language(&window).unwrap().is_empty());
    assert_eq!(engine.languages().collect::<Vec<_>>(), ["en"]);
    let error = engine.encode(&[0.0; 7]).unwrap_err().to_string();
    assert!(error.contains("(40, 7)"), "{error}");
}

#[test]
fn a_short_window_gives_the_same_bits_whatever_was_encoded_before() {
    for compute_type in [ComputeType::F32, ComputeType::Int8] {
        let mut first: Option<(Vec<f32>, Vec<u32>)> = None;
        for threads in THREADS {
            let engine = engine(compute_type, threads);
            // Buffers are reused, so windows of other lengths are encoded in between. They must not change the
            // result.
            for frames in [22, 40, 22, 6, 22] {
                let mel = &mel(0)[..frames * 7];
                let (states, window) = (engine.states(mel).unwrap(), engine.encode(mel).unwrap());
                assert_eq!(states.len(), frames / 2 * 24);
                let decoded = engine.decode(&window, &DecodeOptions::default()).unwrap();
                if frames == 22 {
                    let found = (states, decoded.tokens);
                    assert_eq!(*first.get_or_insert_with(|| found.clone()), found, "{compute_type}");
                }
            }
            for frames in [0, 21, 42] {
                let mel = [mel(0), mel(1)].concat();
                assert!(matches!(engine.encode(&mel[..frames * 7]), Err(Error::WindowShape { .. })), "{frames} frames");
            }
        }
    }
}

#[test]
fn the_error_names_the_damaged_part_of_a_model() {
    let directory = tempfile::tempdir().unwrap();
    let mut tensors = whisper(&SIZES, 1);
    let options = EngineOptions { compute_type: ComputeType::Int8, threads: 1, ..EngineOptions::default() };
    let error = |directory: &Path| Engine::load(directory, &options).unwrap_err().to_string();
    write_model(directory.path(), &tensors, DType::F32);
    std::fs::write(directory.path().join("vocabulary.txt"), "a\nb\n").unwrap();
    assert!(error(directory.path()).contains("has no token <|"));
    std::fs::remove_file(directory.path().join("vocabulary.txt")).unwrap();
    assert!(error(directory.path()).contains("no vocabulary"));
    let shape = &mut tensors.get_mut("decoder.layers.1.fc1.weight").unwrap().0;
    shape.swap(0, 1);
    write_model(directory.path(), &tensors, DType::F32);
    let message = error(directory.path());
    assert!(message.contains("decoder.layers.1.fc"), "{message}");
}

#[test]
fn results_do_not_depend_on_the_rest_of_the_batch() {
    for compute_type in [ComputeType::F32, ComputeType::Int8] {
        let engine = engine(compute_type, 2);
        let windows: Vec<_> = (0..5).map(|seed| engine.encode(&mel(seed)).unwrap()).collect();
        let searches = [
            Search::Greedy,
            Search::Beam { size: 3, patience: 1.0 },
            Search::Sample { temperature: 0.6, best_of: 4, seed: 9 },
        ];
        let options = |i: usize| DecodeOptions {
            timestamps: i.is_multiple_of(2),
            search: searches[i % searches.len()],
            previous: vec![7; i],
            prefix: vec![8; i / 3],
            ..DecodeOptions::default()
        };
        let mut batch = Batch::new(&engine);
        let mut together = vec![None; windows.len()];
        for (ticket, window) in windows.iter().enumerate() {
            batch.join(ticket as u64, window, &options(ticket)).unwrap();
            for (ticket, decoded) in batch.step().unwrap() {
                together[ticket as usize] = Some(decoded);
            }
        }
        while !batch.is_empty() {
            for (ticket, decoded) in batch.step().unwrap() {
                together[ticket as usize] = Some(decoded);
            }
        }
        for (i, window) in windows.iter().enumerate() {
            assert_eq!(together[i], Some(engine.decode(window, &options(i)).unwrap()), "{compute_type}, window {i}");
        }
    }
}

/// During a search, hypotheses (candidate token sequences) share, copy and hand over their KV caches. If a cache were
/// wrong, the log-probability of the best hypothesis would differ from that of the same tokens run as a single
/// sequence.
#[test]
fn the_log_probability_of_a_search_result_is_that_of_its_tokens() {
    let engine = engine(ComputeType::F32, 1);
    let special = |name: &str| vocabulary().lines().position(|token| token == name).unwrap();
    let (eot, sot, no_timestamps) = (36, special("<|startoftranscript|>"), special("<|notimestamps|>"));
    for seed in 0..6 {
        let window = engine.encode(&mel(seed)).unwrap();
        let decode = |search| {
            let options = DecodeOptions { search, timestamps: false, ..DecodeOptions::default() };
            engine.decode(&window, &options).unwrap()
        };
        let greedy = decode(Search::Greedy);
        assert_eq!(decode(Search::Beam { size: 1, patience: 1.0 }), greedy);
        let beam = decode(Search::Beam { size: 4, patience: 1.5 });
        let drawn = decode(Search::Sample { temperature: 0.8, best_of: 3, seed: seed as u64 });
        assert_eq!(decode(Search::Sample { temperature: 0.8, best_of: 3, seed: seed as u64 }), drawn);
        for decoded in [&greedy, &beam, &drawn] {
            let mut sequence = engine.start(&window);
            engine.step(&mut sequence, &[sot as u32]).unwrap();
            let mut logits = engine.step(&mut sequence, &[no_timestamps as u32]).unwrap();
            let mut sum = 0.0;
            for (at, token) in decoded.tokens.iter().copied().chain([eot]).enumerate() {
                // Text tokens and the end token are allowed, except those that the model's files suppress.
                let is_allowed = |id: &usize| *id <= 36 && *id != 3 && (at > 0 || ![5, 36].contains(id));
                let total: f32 = (0..logits.len()).filter(is_allowed).map(|id| logits[id].exp()).sum();
                // A sequence that fills all text positions ends without an end token.
                if sequence.len() < SIZES.n_text_ctx - 1 || token != eot {
                    sum += logits[token as usize] - total.ln();
                }
                if sequence.len() < SIZES.n_text_ctx {
                    logits = engine.step(&mut sequence, &[token]).unwrap();
                }
            }
            let mean = sum / (decoded.tokens.len() + 1) as f32;
            assert!((mean - decoded.avg_logprob).abs() < 1e-4, "{mean} {decoded:?}");
        }
    }
}

#[test]
fn a_result_begins_with_the_prefix_and_repeats_no_ngram() {
    let engine = engine(ComputeType::Int8, 1);
    let window = engine.encode(&mel(1)).unwrap();
    let mut options = DecodeOptions { prefix: vec![8, 9], ..DecodeOptions::default() };
    let decoded = engine.decode(&window, &options).unwrap();
    assert!(engine.vocabulary().is_timestamp(decoded.tokens[0]) && decoded.tokens[1..3] == [8, 9]);
    options.timestamps = false;
    options.logits_filters.no_repeat_ngram_size = 2;
    let text = engine.decode(&window, &options).unwrap().tokens;
    let mut pairs: Vec<_> = text.windows(2).collect();
    let count = pairs.len();
    pairs.sort_unstable();
    pairs.dedup();
    assert!(text[..2] == [8, 9] && pairs.len() == count, "{text:?}");
    options.logits_filters.suppress = vec![0, 1, 2];
    assert!(engine.decode(&window, &options).unwrap().tokens.iter().all(|token| *token > 2));
}

#[test]
fn alignment_does_not_depend_on_the_number_of_threads() {
    let options = DecodeOptions::default();
    let text: Vec<u32> = (0..100).map(|i| (i * 7) % 36).collect();
    for compute_type in [ComputeType::F32, ComputeType::Int8] {
        let mut first = None;
        for threads in THREADS {
            let engine = engine(compute_type, threads);
            let window = engine.encode(&mel(0)).unwrap();
            let alignment = engine.align(&window, &options, &text, 27).unwrap();
            assert_eq!((alignment.times.len(), alignment.probabilities.len()), (101, 100));
            assert!(alignment.times.is_sorted() && alignment.times.iter().all(|time| *time < 27));
            // The probability of each token must equal that from decoding the tokens one by one.
            let mut sequence = engine.start(&window);
            let mut logits = engine.step(&mut sequence, &[37, 44]).unwrap();
            for (token, probability) in text.iter().zip(&alignment.probabilities) {
                let total: f64 = logits[..36].iter().map(|logit| f64::from(*logit).exp()).sum();
                let expected = f64::from(logits[*token as usize]).exp() / total;
                assert!((f64::from(*probability) - expected).abs() < 1e-4, "{probability} {expected}");
                logits = engine.step(&mut sequence, &[*token]).unwrap();
            }
            assert_eq!(*first.get_or_insert_with(|| alignment.clone()), alignment, "{compute_type}");
        }
    }
}

#[test]
fn sequences_of_any_length_are_aligned() {
    let options = DecodeOptions::default();
    let directory = tempfile::tempdir().unwrap();
    write_model(directory.path(), &whisper(&SIZES, 1), DType::F16);
    let align = |heads: &str, text: &[u32], n_frames| {
        std::fs::write(directory.path().join("config.json"), format!(r#"{{"alignment_heads": {heads}}}"#)).unwrap();
        let engine = load(directory.path(), ComputeType::F32, 1);
        engine.align(&engine.encode(&mel(0)).unwrap(), &options, text, n_frames).unwrap().times
    };
    // The alignment heads that the model's files list are used if they exist. Otherwise all heads in the second half
    // of the layers are used.
    let text: Vec<u32> = (0..128).map(|i| (i * 7) % 36).collect();
    let all = align("[]", &text, 40);
    assert_eq!(align("[[3, 0], [0, 3]]", &text, 40), all);
    assert_eq!(align("[[1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [2, 2]]", &text, 40), all);
    assert_ne!(align("[[1, 0]]", &text, 40), all);
    assert_eq!(align("[]", &text, 0), [0; 129]);
    assert_eq!(align("[]", &text, 1 << 40), all);
    assert_eq!(align("[]", &[], 40), [0]);
}

#[test]
fn models_without_some_of_their_layers_are_rejected() {
    let load_error = |change: &dyn Fn(&mut Tensors)| {
        let directory = tempfile::tempdir().unwrap();
        let mut tensors = whisper(&SIZES, 1);
        change(&mut tensors);
        write_model(directory.path(), &tensors, DType::F16);
        let options = EngineOptions { compute_type: ComputeType::Int8, threads: 1, ..EngineOptions::default() };
        Engine::load(directory.path(), &options).expect_err("loading must fail").to_string()
    };
    let without = |part: &'static str| load_error(&|tensors| tensors.retain(|name, _| !name.contains(part)));
    let error = without("encoder.layers.0.");
    assert!(error.contains("encoder.layers.0."), "{error}");
    let error = without("decoder.layers.");
    assert!(error.contains("no layers"), "{error}");
}
