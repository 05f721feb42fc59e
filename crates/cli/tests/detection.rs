//! Tests of speech detection: the probabilities that it computes, and the windows that it finds in synthetic and real
//! recordings.
//!
//! The real recordings are in the directory that the environment variable `AMANUENSIS_TEST_DATA` names. A test is
//! skipped if its recordings or its model are missing.

mod common;

use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use amanuensis_models::{SPEECH_DETECTOR, Store};
use amanuensis_transcribe::{
    Audio, ComputeType, EngineOptions, SileroVad, Strategy, TranscribeOptions, Transcriber, Transcript, VadOptions,
    speech_windows,
};
use common::wav_header;

/// Number of samples in a frame of 10 ms.
const FRAME_SAMPLES: usize = 160;

fn detector() -> Option<SileroVad> {
    let path = Store::open_default().and_then(|store| store.path(SPEECH_DETECTOR));
    let path = path.map_err(|error| println!("skipped: {error}")).ok()?;
    Some(SileroVad::load(&path).unwrap())
}

fn speech() -> Option<PathBuf> {
    let data = std::env::var_os("AMANUENSIS_TEST_DATA");
    if data.is_none() {
        println!("skipped: AMANUENSIS_TEST_DATA is not set");
    }
    Some(PathBuf::from(data?).join("speech"))
}

fn probabilities_of(vad: &SileroVad, samples: &[f32]) -> Vec<f32> {
    let (mut stream, mut probabilities) = (vad.stream(), Vec::new());
    stream.push(samples, &mut probabilities);
    stream.finish(&mut probabilities);
    probabilities
}

/// Returns the windows of a recording that contain speech, as ranges of frames.
fn windows_of(vad: &SileroVad, samples: &[f32]) -> Vec<Range<usize>> {
    speech_windows(vad, &VadOptions::default(), 3000, samples)
}

fn samples_of(path: &Path) -> Vec<f32> {
    let mut audio = Audio::open(path).unwrap();
    let mut samples = Vec::new();
    while let Some(block) = audio.next_block().unwrap() {
        samples.extend_from_slice(block);
    }
    samples
}

/// The signal is 300 ms of silence, followed by a buzz with a formant, vibrato and syllables. The test compares the
/// speech probability of every fifth chunk with expected values. These were computed in f64 with the network
/// definition that is published with the weights (`tinygrad_model.py`).
#[test]
fn probabilities_equal_those_of_the_original_network() {
    use std::f64::consts::TAU;
    const EXPECTED: [f32; 9] =
        [0.018_007, 0.012_870, 0.837_262, 0.350_697, 0.551_064, 0.946_984, 0.490_829, 0.916_077, 0.820_040];
    let Some(vad) = detector() else { return };
    let sample = |at: usize| {
        let t = at as f64 / 16_000.0;
        let phase = TAU * (120.0 * t + 3.0 * (TAU * 2.0 * t).sin());
        let formant = |k: f64| (-((k * 120.0 - 600.0) / 500.0).powi(2)).exp() / k;
        let buzz: f64 = (1..25).map(f64::from).map(|k| (k * phase).sin() * formant(k)).sum();
        let loudness = if t > 0.3 { 0.3 * (0.55 + 0.45 * (TAU * 3.0 * t).sin()) } else { 0.0 };
        (loudness * buzz) as f32
    };
    let samples: Vec<f32> = (0..512 * 40 + 200).map(sample).collect();
    let found: Vec<f32> = probabilities_of(&vad, &samples).into_iter().step_by(5).collect();
    let differences = found.iter().zip(EXPECTED).map(|(found, expected)| (found - expected).abs());
    assert!(found.len() == EXPECTED.len() && differences.into_iter().all(|d| d < 1e-4), "{found:?}");
}

#[test]
fn silence_noise_and_tones_contain_no_speech() {
    let Some(vad) = detector() else { return };
    let mut random = 1_u64;
    let mut white = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 40) as f32 / f32::from(1_u16 << 15) / 256.0 - 1.0
    };
    assert_eq!(windows_of(&vad, &vec![0.0; 60 * 16_000]), []);
    for level in [-60.0_f32, -40.0, -20.0, -10.0] {
        let scale = 10_f32.powf(level / 20.0);
        let mut pink = [0.0_f32; 5];
        // Pink noise falls by about 3 dB per octave. Here it is a sum of white noises, each low-pass filtered at a
        // different cutoff.
        let mut pink_noise = || {
            let mut sum = 0.0;
            for (value, length) in pink.iter_mut().zip([2.0, 8.0, 32.0, 128.0, 512.0_f32]) {
                *value += (white() * length.sqrt() - *value) / length;
                sum += *value;
            }
            sum
        };
        let pink: Vec<f32> = (0..60 * 16_000).map(|_| scale * pink_noise()).collect();
        let noise: Vec<f32> = (0..60 * 16_000).map(|_| scale * 1.7 * white()).collect();
        let tone = |hertz: f32| -> Vec<f32> {
            let turns = |at: usize| (at as f32 * hertz / 16_000.0).fract();
            (0..60 * 16_000).map(|at| scale * 1.4 * (turns(at) * std::f32::consts::TAU).sin()).collect()
        };
        let (whistle, hum) = (tone(1000.0), tone(50.0));
        for (name, samples) in [("white", noise), ("pink", pink), ("tone", whistle), ("hum", hum)] {
            let largest = probabilities_of(&vad, &samples).into_iter().fold(0.0, f32::max);
            println!("{name}, {level} dB: at most {largest:.2}");
            assert_eq!(windows_of(&vad, &samples), [], "{name}, {level} dB");
        }
    }
}

#[test]
fn noise_around_speech_adds_no_text() {
    let Some(detector) = detector() else { return };
    let base = Store::open_default().and_then(|store| store.path("base"));
    let Ok(base) = base.map_err(|error| println!("skipped: {error}")) else { return };
    let engine = EngineOptions { compute_type: ComputeType::Int8, threads: 2, ..EngineOptions::default() };
    let transcriber = Transcriber::load(&base, &engine).unwrap().with_vad(detector);
    let directory = tempfile::tempdir().unwrap();
    let transcribe = |samples: &[f32], strategy: Strategy| -> Transcript {
        let mut wav = wav_header(2 * samples.len() as u32, 16_000, 16);
        wav.extend(samples.iter().flat_map(|sample| ((sample * 32_767.0) as i16).to_le_bytes()));
        let path = directory.path().join("recording.wav");
        std::fs::write(&path, wav).unwrap();
        let audio = Audio::open(&path).unwrap();
        let options = TranscribeOptions { strategy, ..TranscribeOptions::default() };
        transcriber.transcribe(audio, &options, &mut |_| ControlFlow::Continue(())).unwrap()
    };
    let speech = samples_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/offline.opus"));
    let mut random = 7_u32;
    let noise: Vec<f32> = (0..40 * 16_000)
        .map(|_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            0.02 * (f32::from((random >> 16) as u16) / 32_768.0 - 1.0)
        })
        .collect();
    // Commas are ignored, because the model places them differently when noise surrounds the speech.
    let words = |transcript: &Transcript| transcript.text().replace(',', "");
    let seconds = speech.len() as f64 / 16_000.0;
    for strategy in [Strategy::Batched, Strategy::Sequential] {
        let expected = words(&transcribe(&speech, strategy));
        assert!(!expected.is_empty());
        let long = transcribe(&[&noise, &speech[..], &noise, &speech, &noise].concat(), strategy);
        assert_eq!(words(&long), format!("{expected} {expected}"), "{strategy:?}");
        for (segment, range) in [
            (&long.segments[0], 40.0..40.0 + seconds),
            (&long.segments[long.segments.len() - 1], 80.0 + seconds..80.0 + 2.0 * seconds),
        ] {
            assert!(range.start - 0.6 < segment.start && segment.end < range.end + 0.6, "{strategy:?}: {segment:?}");
        }
        assert_eq!(transcribe(&noise, strategy).segments, []);
    }
}

/// Returns the loud part of a recording as a range of samples. It reaches from the first to the final block of 20 ms
/// whose level exceeds 8 % of the 95th percentile of all levels.
fn loud_part(samples: &[f32]) -> Range<usize> {
    const BLOCK_SAMPLES: usize = 320;
    let level = |block: &[f32]| (block.iter().map(|x| x * x).sum::<f32>() / BLOCK_SAMPLES as f32).sqrt();
    let levels: Vec<f32> = samples.chunks_exact(BLOCK_SAMPLES).map(level).collect();
    let mut sorted = levels.clone();
    sorted.sort_by(f32::total_cmp);
    let threshold = 0.08 * sorted[(sorted.len() - 1) * 95 / 100];
    let first = levels.iter().position(|level| *level > threshold).unwrap_or(0);
    let last = levels.iter().rposition(|level| *level > threshold).unwrap_or(0);
    first * BLOCK_SAMPLES..(last + 1) * BLOCK_SAMPLES
}

/// Returns the spoken parts of a recording as ranges of samples. If the manifest lists utterances, these are
/// returned. Otherwise the speaker turns in the RTTM file are returned. If that file is missing too, the whole
/// recording is returned.
fn spoken_parts(clip: &serde_json::Value, speech: &Path, samples: &[f32]) -> Vec<Range<usize>> {
    let part = |start: f64, end: f64| {
        let [start, end] = [start, end].map(|seconds| ((seconds * 16_000.0) as usize).min(samples.len()));
        start..end
    };
    if let Some(utterances) = clip["utterances"].as_array() {
        let time = |utterance: &serde_json::Value, name: &str| utterance[name].as_f64().unwrap();
        return utterances.iter().map(|one| part(time(one, "start"), time(one, "end"))).collect();
    }
    let turns = speech.join("rttm").join(format!("{}.rttm", clip["id"].as_str().unwrap()));
    let Ok(turns) = std::fs::read_to_string(turns) else { return std::iter::once(0..samples.len()).collect() };
    let times = turns.lines().map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (start, length): (f64, f64) = (fields[3].parse().unwrap(), fields[4].parse().unwrap());
        part(start, start + length)
    });
    times.collect()
}

#[test]
fn windows_contain_all_speech_of_the_test_data() {
    let (Some(vad), Some(speech)) = (detector(), speech()) else { return };
    let manifest = std::fs::read_to_string(speech.join("manifest.jsonl")).unwrap();
    let (mut utterances, mut min_share, mut in_windows, mut total, mut count) = (0, 1.0_f64, 0, 0, 0);
    for line in manifest.lines() {
        let clip: serde_json::Value = serde_json::from_str(line).unwrap();
        let samples = samples_of(&speech.join(clip["file"].as_str().unwrap()));
        let windows = windows_of(&vad, &samples);
        assert!(windows.iter().all(|window| window.len() <= 3000));
        total += samples.len() / FRAME_SAMPLES;
        in_windows += windows.iter().map(Range::len).sum::<usize>();
        count += windows.len();
        for part in spoken_parts(&clip, &speech, &samples) {
            let inside = loud_part(&samples[part.clone()]);
            let frames = (part.start + inside.start) / FRAME_SAMPLES
                ..((part.start + inside.end) / FRAME_SAMPLES).min(samples.len() / FRAME_SAMPLES);
            let covered = frames.clone().filter(|frame| windows.iter().any(|window| window.contains(frame))).count();
            let share = covered as f64 / frames.len() as f64;
            utterances += 1;
            min_share = min_share.min(share);
            assert!(share >= 0.99, "{}: of {frames:?}, {share:.4} is in {windows:?}", clip["id"]);
        }
    }
    println!(
        "{utterances} utterances, at least {:.2} % of each in a window; {count} windows with {:.1} % of the sound",
        100.0 * min_share,
        100.0 * in_windows as f64 / total as f64
    );
}
