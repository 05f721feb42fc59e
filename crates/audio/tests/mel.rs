//! Compares log-mel spectrograms with those of the original implementation in openai-whisper (80 bins) and of an
//! independent one (80 and 128 bins).

mod common;

use std::path::Path;

use amanuensis_audio::{Error, LogMel, WINDOW_FRAMES, WINDOW_SAMPLES};
use common::{speech, test_data};

/// The `f32` values of a `.npy` file (version 1.0, little-endian).
fn npy(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[10 + header..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn features(n_mels: usize, samples: &[f32]) -> Vec<f32> {
    let mut out = Vec::new();
    LogMel::new(n_mels).unwrap().window(samples, &mut out).unwrap();
    assert_eq!(out.len(), WINDOW_FRAMES * n_mels);
    out
}

/// The largest difference between the rows `frames` of the spectrogram `ours` and the rows of a file in `tests/data`.
fn difference(ours: &[f32], n_mels: usize, frames: &[usize], file: &str) -> f32 {
    let expected = npy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file));
    assert_eq!(expected.len(), frames.len() * n_mels);
    let rows = frames.iter().flat_map(|t| &ours[t * n_mels..(t + 1) * n_mels]);
    rows.zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn equals_an_independent_implementation() {
    for n_mels in [80, 128] {
        let ours = features(n_mels, &speech());
        let worst = difference(&ours, n_mels, &[0, 1, 42, 98, 101, 2999], &format!("mel-speech-{n_mels}.npy"));
        println!("speech, {n_mels} bins: largest difference {worst:e}");
        assert!(worst < 1e-5, "{n_mels} bins: {worst:e}");
    }
    let mut state = 1u32;
    let noise: Vec<f32> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0 - 0.5
    })
    .take(WINDOW_SAMPLES)
    .collect();
    let worst = difference(&features(80, &noise), 80, &[0, 1, 1500, 2998, 2999], "mel-noise-80.npy");
    println!("30 s of noise: largest difference {worst:e}");
    assert!(worst < 1e-5, "{worst:e}");
}

#[test]
fn every_length_up_to_a_window_is_padded_with_zeros() {
    let silence = features(80, &[]);
    assert!(silence.iter().all(|v| v.to_bits() == silence[0].to_bits()), "silence is one value");
    // The result must be the same whether `window` pads the signal with zeros or the test does.
    let signal: Vec<f32> = (0..20_000).map(|i| (i as f32 * 0.3).sin()).collect();
    let mut padded = signal.clone();
    padded.resize(WINDOW_SAMPLES, 0.0);
    assert_eq!(features(80, &signal), features(80, &padded));
    for n in [1, 159, 160, 200, 201, 400, 479_999] {
        assert!(features(80, &padded[..n]).iter().all(|v| v.is_finite()), "{n} samples");
    }
}

#[test]
fn invalid_sizes_are_refused() {
    assert!(matches!(LogMel::new(0), Err(Error::MelBins(0))));
    assert!(matches!(LogMel::new(257), Err(Error::MelBins(257))));
    let mut log_mel = LogMel::new(80).unwrap();
    let too_long = vec![0.0; WINDOW_SAMPLES + 1];
    assert!(matches!(log_mel.window(&too_long, &mut Vec::new()), Err(Error::WindowTooLong(480_001))));
}

#[test]
fn equals_the_original_implementation() {
    let Some(data) = test_data() else { return };
    let reference = data.join("reference");
    let ours = features(80, &npy(&reference.join("audio_jfk_16k.npy")));
    // The reference array has the shape (80, 3000); ours has (3000, 80).
    let golden = npy(&reference.join("mel_jfk_openai.npy"));
    let difference = |(i, value): (usize, &f32)| (value - golden[i % 80 * WINDOW_FRAMES + i / 80]).abs();
    let worst = ours.iter().enumerate().map(difference).fold(0.0, f32::max);
    println!("original: largest difference {worst:e}");
    // The original implementation also computes in float32. Its error in the quietest bin, compared with float64, is
    // 4.4e-5.
    assert!(worst < 1e-4, "largest difference {worst:e}");
}
