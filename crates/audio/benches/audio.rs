//! Benchmarks the decoders, the resampler and the log-mel spectrogram on one core.
//!
//! Run with `cargo bench -p amanuensis-audio`. If `AMANUENSIS_TEST_DATA` is set, the recordings in its `speech`
//! folder are decoded too.

use std::hint::black_box;
use std::path::PathBuf;

use amanuensis_audio::{Audio, LogMel, WINDOW_SAMPLES};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn drain(mut audio: Audio) -> f64 {
    while audio.next_block().expect("the recording is not damaged").is_some() {}
    audio.position()
}

fn mel(c: &mut Criterion) {
    let samples: Vec<f32> = (0..WINDOW_SAMPLES).map(|i| (i as f32 * 0.37).sin() * (i as f32 * 0.0011).cos()).collect();
    let mut features = Vec::new();
    for n_mels in [80, 128] {
        let mut log_mel = LogMel::new(n_mels).expect("80 and 128 bins are valid");
        c.bench_function(&format!("log-mel of 30 s, {n_mels} bins"), |b| {
            b.iter(|| log_mel.window(black_box(&samples), &mut features));
        });
    }
}

fn resample(c: &mut Criterion) {
    let mut group = c.benchmark_group("resample 10 s");
    for rate in [8_000, 22_050, 44_100, 48_000] {
        let samples: Vec<f32> = (0..10 * rate).map(|i| (i as f32 * 0.01).sin()).collect();
        group.bench_function(format!("{rate} Hz"), |b| {
            b.iter(|| drain(Audio::from_samples(samples.clone(), rate).expect("a valid rate")));
        });
    }
    group.finish();
}

/// Criterion reports throughput in elements per second, and one element is a millisecond of audio. So 1 Kelem/s means
/// that a second of audio takes a second to compute.
fn decode(c: &mut Criterion) {
    let Some(data) = std::env::var_os("AMANUENSIS_TEST_DATA").map(PathBuf::from) else { return };
    let mut group = c.benchmark_group("decode");
    for name in [
        "ls-1272-141231-0002.mp3",
        "jfk-m4a-44k.m4a",
        "ls-2033-164914-0001.ogg",
        "ls-1688-142285-0003.opus",
        "jfk-flac-44k-stereo.flac",
        "harvard-44k-stereo.wav",
    ] {
        let Ok(bytes) = std::fs::read(data.join("speech").join(name)) else { continue };
        let open = || Audio::from_bytes(bytes.clone()).expect("a known format");
        group.throughput(Throughput::Elements((drain(open()) * 1000.0) as u64));
        group.bench_function(name, |b| b.iter(|| drain(open())));
    }
    group.finish();
}

criterion_group!(benches, mel, resample, decode);
criterion_main!(benches);
