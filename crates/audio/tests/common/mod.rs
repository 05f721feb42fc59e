//! Helpers that the integration tests share.
#![allow(dead_code, reason = "each test file uses only some of these")]

use std::path::{Path, PathBuf};

use amanuensis_audio::{Audio, Error};

/// Reads a file in `tests/data`.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The folder with real recordings. `None` if `AMANUENSIS_TEST_DATA` is not set.
pub fn test_data() -> Option<PathBuf> {
    let folder = std::env::var_os("AMANUENSIS_TEST_DATA").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: AMANUENSIS_TEST_DATA is not set");
    }
    folder
}

/// Decodes a recording. Returns all samples, and the [`Audio`] after its last block.
pub fn decode(bytes: Vec<u8>) -> Result<(Vec<f32>, Audio), Error> {
    drain(Audio::from_bytes(bytes)?)
}

pub fn drain(mut audio: Audio) -> Result<(Vec<f32>, Audio), Error> {
    let mut samples = Vec::new();
    while let Some(block) = audio.next_block()? {
        assert!(block.iter().all(|s| s.is_finite()));
        samples.extend_from_slice(block);
    }
    Ok((samples, audio))
}

/// The signal that the test files were made from. It is read from `speech.wav` without the crate under test.
pub fn speech() -> Vec<f32> {
    fixture("speech.wav")[44..]
        .chunks_exact(2)
        .map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0)
        .collect()
}

/// A simple conversion to 8 kHz: a low-pass filter, then every second sample.
pub fn at_8_khz(samples: &[f32]) -> Vec<f32> {
    let low = |i: usize| {
        let tap = |d: isize| i.checked_add_signed(d).and_then(|j| samples.get(j)).copied().unwrap_or(0.0);
        0.5 * tap(0) + 0.3125 * (tap(-1) + tap(1)) - 0.0625 * (tap(-3) + tap(3))
    };
    (0..samples.len()).step_by(2).map(low).collect()
}

/// Returns the greatest correlation of `a` with a shifted `b`, from -1 to 1, and the lag (the shift in samples) at
/// which it occurs. The lag is positive if `b` is late.
pub fn similarity(a: &[f32], b: &[f32]) -> (f64, isize) {
    let at = |lag: isize| {
        let (mut ab, mut aa, mut bb) = (0.0f32, 0.0f32, 0.0f32);
        // Comparing every third sample suffices, and keeps tests fast in builds without optimisation.
        for i in (0..a.len()).step_by(3) {
            let (x, y) = (a[i], i.checked_add_signed(lag).and_then(|j| b.get(j)).copied().unwrap_or(0.0));
            ab += x * y;
            aa += x * x;
            bb += y * y;
        }
        f64::from(ab / (aa * bb).sqrt().max(1e-9))
    };
    (-128..900).map(|lag| (at(lag), lag)).max_by(|x, y| x.0.total_cmp(&y.0)).unwrap()
}

/// Builds a WAV file of the given format that contains `data`.
pub fn wav(tag: u16, bits: u16, channels: u16, rate: u32, data: &[u8]) -> Vec<u8> {
    let align = channels.wrapping_mul(bits / 8);
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    for field in [tag, channels] {
        bytes.extend(field.to_le_bytes());
    }
    for field in [rate, rate.wrapping_mul(u32::from(align))] {
        bytes.extend(field.to_le_bytes());
    }
    for field in [align, bits] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

/// `samples` as WAV data of format `tag` (1 integer, 3 float), the same in every channel.
pub fn encode(samples: &[f32], tag: u16, bits: u16, channels: u16) -> Vec<u8> {
    let one = |s: f32| match (tag, bits) {
        (1, 8) => vec![(s * 127.0 + 128.0) as u8],
        (1, 16) => ((s * 32_767.0) as i16).to_le_bytes().to_vec(),
        (1, 24) => ((s * 8_388_607.0) as i32).to_le_bytes()[..3].to_vec(),
        (1, _) => ((f64::from(s) * 2_147_483_647.0) as i32).to_le_bytes().to_vec(),
        (_, 32) => s.to_le_bytes().to_vec(),
        _ => f64::from(s).to_le_bytes().to_vec(),
    };
    samples.iter().flat_map(|s| one(*s).repeat(usize::from(channels))).collect()
}
