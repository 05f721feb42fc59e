//! Compares the engine with reference arrays of the original implementation (openai-whisper in float32, with the
//! model `base` and the recording "jfk"). Also tests real models.
//!
//! The models are in the model store. The reference arrays are in the directory that the environment variable
//! `AMANUENSIS_TEST_DATA` names. A test is skipped if its model or its arrays are missing.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use amanuensis_engine::{
    ComputeType, DecodeOptions, DecodingResult, Engine, EngineOptions, Frames, LANGUAGE_CODES, Vocabulary,
};
use amanuensis_models::Store;
use amanuensis_transcribe::{Audio, TranscribeOptions, Transcriber};
use amanuensis_weights::Checkpoint;

/// The tokens that the original implementation generates for the recording, greedily and without timestamps.
const JFK: [u32; 25] = [
    400, 370, 452, 7177, 6280, 11, 1029, 406, 437, 428, 1941, 393, 360, 337, 291, 11, 1029, 437, 291, 393, 360, 337,
    428, 1941, 13,
];
const JFK_TEXT: &str =
    "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country.";
/// The prompt tokens: startoftranscript, en, transcribe and notimestamps (English text without timestamps).
const PROMPT: [u32; 4] = [50258, 50259, 50359, 50363];

fn model(name: &str) -> Option<PathBuf> {
    Store::open_default().and_then(|store| store.path(name)).map_err(|error| println!("skipped: {error}")).ok()
}

fn base(compute_type: ComputeType) -> Option<Engine> {
    Some(
        Engine::load(&model("base")?, &EngineOptions { compute_type, threads: 2, ..EngineOptions::default() }).unwrap(),
    )
}

/// Loads a reference array in the format of `numpy.save`: little-endian f32, C order. Returns `None` if the array is
/// missing, so that the test must be skipped.
fn golden(name: &str) -> Option<Vec<f32>> {
    let Some(folder) = std::env::var_os("AMANUENSIS_TEST_DATA") else {
        println!("skipped: AMANUENSIS_TEST_DATA is not set");
        return None;
    };
    let bytes = std::fs::read(Path::new(&folder).join("reference").join(name)).unwrap();
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert!(String::from_utf8_lossy(&bytes[..header]).contains("'<f4', 'fortran_order': False"));
    Some(bytes[header..].as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

/// Returns the reference mel spectrogram. The file has the shape `(80, 3000)`; it is transposed to the engine's
/// layout `(3000, 80)`.
fn jfk_mel() -> Option<Vec<f32>> {
    let mel = golden("mel_jfk_openai.npy")?;
    Some((0..3000 * 80).map(|index| mel[index % 80 * 3000 + index / 80]).collect())
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |largest, (a, b)| largest.max((a - b).abs()))
}

fn words(text: &str) -> String {
    text.replace([',', '.'], "").trim().to_owned()
}

fn argmax(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap()
}

#[test]
fn f32_encoder_states_and_logits_equal_the_reference() {
    let (Some(mel), Some(engine)) = (jfk_mel(), base(ComputeType::F32)) else { return };
    let window = engine.encode(&mel).unwrap();
    let states = golden("enc_jfk_base.npy").unwrap();
    let found = engine.states(&mel).unwrap();
    let relative = largest_difference(&found, &states) / largest_difference(&states, &vec![0.0; states.len()]);
    println!("encoder, f32: {relative:e} relative to the largest magnitude");
    assert!(relative <= 5e-4);

    let all = golden("logits_jfk_base_forced.npy").unwrap();
    let rows: Vec<&[f32]> = all.chunks_exact(engine.vocabulary().n_vocab()).collect();
    let mut sequence = engine.start(&window);
    let logits = engine.step(&mut sequence, &PROMPT).unwrap();
    let first = golden("logits_jfk_base_prompt.npy").unwrap();
    let difference = largest_difference(&logits, &first[3 * logits.len()..]);
    println!("logits of the first step, f32: {difference:e}");
    assert!(difference <= 1e-2 && argmax(&logits) == argmax(rows[3]));
    for (row, token) in rows[4..].iter().zip(JFK) {
        let logits = engine.step(&mut sequence, &[token]).unwrap();
        assert!(largest_difference(&logits, row) <= 1e-2 && argmax(&logits) == argmax(row));
    }
}

#[test]
fn int8_encoder_states_are_close_to_the_reference() {
    let (Some(mel), Some(engine)) = (jfk_mel(), base(ComputeType::Int8)) else { return };
    let cosine = |a: &[f32], b: &[f32]| {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    let found = engine.states(&mel).unwrap();
    let states = golden("enc_jfk_base.npy").unwrap();
    let width = states.len() / 1500;
    let frames = found.chunks_exact(width).zip(states.chunks_exact(width));
    let mut frames: Vec<f64> = frames.map(|(a, b)| cosine(a, b)).collect();
    frames.sort_by(f64::total_cmp);
    let (median, all) = (frames[frames.len() / 2], cosine(&found, &states));
    println!("encoder, int8: cosine per frame, median {median:.5}; over all values {all:.5}");
    assert!(median >= 0.999 && all >= 0.997);
}

#[test]
fn greedy_tokens_and_probabilities_equal_the_reference() {
    let Some(mel) = jfk_mel() else { return };
    for compute_type in [ComputeType::F32, ComputeType::Int8] {
        let Some(engine) = base(compute_type) else { return };
        let window = engine.encode(&mel).unwrap();
        let decode = |timestamps| -> DecodingResult {
            let language = Some("en".to_owned());
            engine.decode(&window, &DecodeOptions { language, timestamps, ..DecodeOptions::default() }).unwrap()
        };
        let (plain, timed) = (decode(false), decode(true));
        for decoded in [&plain, &timed] {
            assert_eq!(words(&engine.vocabulary().decode(&decoded.tokens)), words(JFK_TEXT), "{compute_type}");
        }
        if compute_type == ComputeType::F32 {
            assert_eq!(plain.tokens, JFK);
            assert_eq!((timed.tokens.first(), timed.tokens.last()), (Some(&50364), Some(&50914)));
            assert_eq!(timed.tokens[1..=JFK.len()], JFK);
            assert!((plain.avg_logprob + 0.095_593).abs() < 1e-3);
            assert!((plain.no_speech_prob - 0.044_402).abs() < 1e-3);
            assert!((timed.avg_logprob + 0.296_912).abs() < 1e-3);
        }
        let detected = engine.detect_language(&window).unwrap();
        assert!(detected[0].0 == "en" && detected[0].1 > 0.9 && detected.len() == 99);
    }
}

#[test]
fn only_int8_drops_padding_from_the_encoder_output() {
    let Some(mel) = jfk_mel() else { return };
    for compute_type in [ComputeType::F32, ComputeType::Int8] {
        let Some(engine) = base(compute_type) else { return };
        let options = DecodeOptions { language: Some("en".to_owned()), ..DecodeOptions::default() };
        let frames = 1100;
        let mel = &mel[..engine.window_frames(Frames(frames)).0 * engine.n_mels()];
        let [complete, trimmed] = [engine.encode(mel), engine.encode_window(mel, Frames(frames))]
            .map(|window| engine.decode(&window.unwrap(), &options).unwrap());
        for decoded in [&complete, &trimmed] {
            assert_eq!(words(&engine.vocabulary().decode(&decoded.tokens)), words(JFK_TEXT), "{compute_type}");
        }
        let is_same = complete.avg_logprob.to_bits() == trimmed.avg_logprob.to_bits();
        assert_eq!(is_same, compute_type == ComputeType::F32, "{compute_type}");
    }
}

#[test]
fn encoded_text_decodes_to_the_same_text() {
    let Some(engine) = base(ComputeType::Int8) else { return };
    let vocabulary = engine.vocabulary();
    assert_eq!(vocabulary.encode(&format!(" {JFK_TEXT}")), JFK);
    for text in [" Grüße, 42 Ωmega!  Don't\n\nyou’ll", "数字と文字", " naïve café—x"] {
        assert_eq!(vocabulary.decode(&vocabulary.encode(text)), text);
    }
}

#[test]
fn cached_decoding_equals_uncached_over_100_steps() {
    let Some(mel) = jfk_mel() else { return };
    for compute_type in [ComputeType::F32, ComputeType::Int8] {
        let Some(engine) = base(compute_type) else { return };
        let window = engine.encode(&mel).unwrap();
        let tokens: Vec<u32> = PROMPT.into_iter().chain(JFK.into_iter().cycle().take(100)).collect();
        let mut cached = engine.start(&window);
        engine.step(&mut cached, &tokens[..PROMPT.len()]).unwrap();
        let mut largest = 0.0_f32;
        for length in PROMPT.len() + 1..=tokens.len() {
            let step = engine.step(&mut cached, &tokens[length - 1..length]).unwrap();
            // Only every ninth step is compared, because computing all tokens anew in every step, without a cache, is
            // slow.
            if (length - PROMPT.len()) % 9 == 1 {
                let whole = engine.step(&mut engine.start(&window), &tokens[..length]).unwrap();
                largest = largest.max(largest_difference(&step, &whole));
                assert_eq!(argmax(&step), argmax(&whole), "{compute_type}, step {}", length - PROMPT.len());
            }
        }
        println!("cached against uncached, {compute_type}: {largest:e}");
        assert!(largest <= 1e-4, "{compute_type}: {largest}");
    }
}

#[test]
fn word_timestamps_match_the_recording() {
    let (Some(model), Some(folder)) = (model("base"), std::env::var_os("AMANUENSIS_TEST_DATA")) else {
        println!("skipped: a model, or AMANUENSIS_TEST_DATA is not set");
        return;
    };
    let recording = Path::new(&folder).join("speech/jfk-flac-44k-stereo.flac");
    let transcriber = Transcriber::load(
        &model,
        &EngineOptions { compute_type: ComputeType::Int8, threads: 2, ..EngineOptions::default() },
    )
    .unwrap();
    let options = TranscribeOptions { word_timestamps: true, ..TranscribeOptions::default() };
    let audio = Audio::open(&recording).unwrap();
    let transcript = transcriber.transcribe(audio, &options, &mut |_| ControlFlow::Continue(())).unwrap();
    let words: Vec<_> = transcript.segments.iter().flat_map(|segment| &segment.words).collect();
    assert_eq!(words.iter().map(|word| word.word.as_str()).collect::<String>().trim(), transcript.text());
    // The expected start times of words were read from the waveform: words after a pause and the end of the final
    // word can be seen there.
    for (index, word, start) in [(0, " And", 0.33), (5, " ask", 3.29), (7, " what", 5.4), (14, " ask", 8.19)] {
        assert_eq!(words[index].word, word);
        assert!((words[index].start - start).abs() < 0.15, "{:?}", words[index]);
    }
    assert!((words[21].end - 10.45).abs() < 0.2, "{:?}", words[21]);
}

#[test]
fn multilingual_and_english_only_models_transcribe_the_sample() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/offline.opus");
    for name in ["base", "tiny.en"] {
        let Some(path) = model(name) else { continue };
        let output = Command::new(env!("CARGO_BIN_EXE_amanuensis"))
            .args(["transcribe", "--offline", "--model", path.to_str().unwrap(), sample.to_str().unwrap()])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap().to_lowercase();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        for phrase in ["this recording never left", "every word", "ordinary computer", "from the internet"] {
            assert!(text.contains(phrase), "{name}: {text}");
        }
    }
}

/// Ggml files contain no list of non-speech tokens, so the engine computes this list from the vocabulary. The result
/// must equal the list in `config.json`.
#[test]
fn computed_non_speech_tokens_equal_those_in_config_json() {
    for name in ["base", "tiny.en"] {
        let Some(path) = model(name) else { return };
        let vocabulary = Vocabulary::of(&Checkpoint::open(&path).unwrap()).unwrap();
        let config: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path.join("config.json")).unwrap()).unwrap();
        let listed = config["suppress_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32);
        let listed: Vec<u32> = listed.filter(|id| vocabulary.is_text(*id)).collect();
        assert_eq!(vocabulary.non_speech_tokens(), listed, "{name}");
        let languages: Vec<&str> = vocabulary.languages().collect();
        // The vocabulary of English-only models contains an outdated code for Hebrew. This is not tested, because
        // these models never use it.
        if vocabulary.is_multilingual() {
            assert_eq!(languages, LANGUAGE_CODES[..languages.len()], "{name}");
        }
    }
}
