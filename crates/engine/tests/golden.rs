//! The engine against golden arrays of the original implementation (openai-whisper, float32, model `base`).
//!
//! Needs the arrays (`AMANUENSIS_TEST_DATA`) and the model (`AMANUENSIS_TEST_MODELS`, a directory of model directories);
//! says "skipped" without them.

use std::path::PathBuf;

use amanuensis_engine::{ComputeType, DecodeOptions, Decoded, Engine, EngineOptions, Task};

/// A golden array in the format of `numpy.save`: little-endian f32, C order.
fn array(name: &str) -> Option<Vec<f32>> {
    let Some(folder) = std::env::var_os("AMANUENSIS_TEST_DATA") else {
        println!("skipped: AMANUENSIS_TEST_DATA is not set");
        return None;
    };
    let bytes = std::fs::read(PathBuf::from(folder).join("reference").join(name)).unwrap();
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert!(String::from_utf8_lossy(&bytes[..header]).contains("'<f4', 'fortran_order': False"));
    Some(bytes[header..].as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

fn engine(model: &str, compute_type: ComputeType) -> Option<Engine> {
    let path = PathBuf::from(std::env::var_os("AMANUENSIS_TEST_MODELS")?).join(model);
    if !path.exists() {
        println!("skipped: no model at {}", path.display());
        return None;
    }
    Some(Engine::load(&path, &EngineOptions { compute_type, threads: 2 }).unwrap())
}

/// The golden mel, (80, 3000), as the engine takes it: (3000, 80).
fn mel() -> Option<Vec<f32>> {
    let mel = array("mel_jfk_openai.npy")?;
    Some((0..3000).flat_map(|frame| (0..80).map(move |bin| (frame, bin))).map(|(f, b)| mel[b * 3000 + f]).collect())
}

fn largest(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(0.0, |largest, value| largest.max(value.abs()))
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn argmax(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap()
}

#[test]
fn f32_encoder_and_logits() {
    let (Some(mel), Some(engine)) = (mel(), engine("base", ComputeType::F32)) else { return };
    let window = engine.encode(&mel).unwrap();
    let golden = array("enc_jfk_base.npy").unwrap();
    let difference = largest(window.states().iter().zip(&golden).map(|(a, b)| a - b));
    let relative = difference / largest(golden.iter().copied());
    println!("encoder: {relative:e} relative");
    assert!(relative <= 5e-4);

    let prompt = [50258, 50259, 50359, 50363];
    let golden = array("logits_jfk_base_prompt.npy").unwrap();
    let logits = engine.step(&mut engine.start(&window), &prompt);
    let golden = &golden[3 * logits.len()..];
    let difference = largest(logits.iter().zip(golden).map(|(a, b)| a - b));
    println!("first step logits: {difference:e}");
    assert!(difference <= 1e-2 && argmax(&logits) == argmax(golden));

    let golden = array("logits_jfk_base_forced.npy").unwrap();
    let forced = [
        400, 370, 452, 7177, 6280, 11, 1029, 406, 437, 428, 1941, 393, 360, 337, 291, 11, 1029, 437, 291, 393, 360,
        337, 428, 1941, 13,
    ];
    let mut sequence = engine.start(&window);
    engine.step(&mut sequence, &prompt);
    for (row, token) in (4..).zip(forced) {
        let logits = engine.step(&mut sequence, &[token]);
        let difference = largest(logits.iter().zip(&golden[row * logits.len()..]).map(|(a, b)| a - b));
        assert!(difference <= 1e-2, "step {row}: {difference}");
    }
}

#[test]
fn int8_encoder() {
    let (Some(mel), Some(engine)) = (mel(), engine("base", ComputeType::Int8)) else { return };
    let window = engine.encode(&mel).unwrap();
    let golden = array("enc_jfk_base.npy").unwrap();
    let mut frames: Vec<f64> = window.states().chunks(512).zip(golden.chunks(512)).map(|(a, b)| cosine(a, b)).collect();
    frames.sort_by(f64::total_cmp);
    let (median, all) = (frames[frames.len() / 2], cosine(window.states(), &golden));
    println!("int8 encoder: cosine per frame, median {median:.5}, least {:.5}; over all values {all:.5}", frames[0]);
    assert!(median >= 0.999 && all >= 0.997);
}

fn decode(engine: &Engine, mel: &[f32], timestamps: bool) -> Decoded {
    let window = engine.encode(mel).unwrap();
    let language = Some("en".to_owned());
    engine.decode(&window, &DecodeOptions { language, task: Task::Transcribe, timestamps }).unwrap()
}

#[test]
fn greedy_tokens_and_probabilities() {
    let Some(mel) = mel() else { return };
    for compute_type in [ComputeType::F32, ComputeType::Int8] {
        let Some(engine) = engine("base", compute_type) else { return };
        let without = decode(&engine, &mel, false);
        let with = decode(&engine, &mel, true);
        println!("{compute_type}: {without:?} {with:?}");
        let text = "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country.";
        for decoded in [&without, &with] {
            let words = |text: &str| text.replace([',', '.'], "").trim().to_owned();
            assert_eq!(words(&engine.vocabulary().decode(&decoded.tokens)), words(text));
        }
        if compute_type == ComputeType::F32 {
            assert_eq!(engine.vocabulary().decode(&with.tokens).trim(), text);
            assert_eq!((with.tokens.first(), with.tokens.last()), (Some(&50364), Some(&50914)));
            assert!((without.avg_logprob + 0.095_593).abs() < 1e-3);
            assert!((without.no_speech_prob - 0.044_402).abs() < 1e-3);
            assert!((with.avg_logprob + 0.296_912).abs() < 1e-3);
        }
        let detected = engine.detect_language(&engine.encode(&mel).unwrap());
        assert_eq!(detected[0].0, "en");
        assert!(detected[0].1 > 0.9 && detected.len() == 99);
    }
}
