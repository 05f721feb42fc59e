//! `amanuensis bench model`: measures how long a model takes to load, and the speed of its mel spectrogram, encoder
//! and decoder.

use std::hint::black_box;
use std::time::Instant;

use amanuensis_audio::{LogMel, WINDOW_SAMPLES};
use amanuensis_engine::{ComputeType, Engine, EngineOptions, Sequence, Step};
use amanuensis_kernels::{Context, Isa};
use serde_json::{Value, json};

use super::args::BenchModelArgs;
use super::installed;
use super::memory::peak_rss_mb;
use super::timing::{ROUNDS, fastest, int8_peak};
use crate::failure::Failure;
use crate::load::thread_count;

/// Number of tokens that are decoded before the measurement starts, so that the KV cache (keys and values of earlier
/// tokens) is not empty.
const CONTEXT_TOKENS: usize = 16;

/// Number of decoding steps that are measured in one round.
const STEPS: usize = 8;

/// The panic message for errors that cannot occur here: only other runtimes return them, never the native runtime.
const NATIVE: &str = "the model was loaded with the native runtime";

/// All measurements of one model.
struct Measurements {
    isa: Isa,
    threads: usize,
    load_ms: f64,
    mel_ms: f64,
    encode_ms: f64,
    encode_tops: f64,
    /// The machine's speed limit: 10^12 int8 operations per second, if all operands stay in registers.
    roofline_tops: f64,
    decode: Vec<DecodeSpeed>,
}

/// The decoding speed at one batch size (the number of windows decoded together).
struct DecodeSpeed {
    batch: usize,
    tokens_per_s: f64,
    bytes_per_step: u64,
}

pub fn measure(args: &BenchModelArgs) -> Result<String, Failure> {
    let path = installed::model_path(&args.model)?;
    let threads = thread_count(args.threads);
    let options = EngineOptions { compute_type: ComputeType::Int8, threads, ..EngineOptions::default() };
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("cannot measure {:?}: {error}", args.model));

    let start = Instant::now();
    let engine = Engine::load(&path, &options).map_err(|error| failed(&error))?;
    let load_s = start.elapsed().as_secs_f64();

    let mut log_mel = LogMel::new(engine.n_mels()).map_err(|error| failed(&error))?;
    let samples = chirps();
    let mut mel = Vec::new();
    let mel_s = fastest(|| log_mel.window(&samples, &mut mel).expect("the samples fill one window"));
    engine.encode(&mel).map_err(|error| failed(&error))?;
    if engine.n_text_ctx() < CONTEXT_TOKENS + STEPS {
        return Err(failed(&format!("it has {} text positions, too few to time steps", engine.n_text_ctx())));
    }
    let encode_s = fastest(|| drop(engine.encode(&mel).expect("the same window was encoded before")));
    let operations = engine.encoder_operations().expect(NATIVE);
    let Context { cpu, pool, .. } = engine.context();
    let measurements = Measurements {
        isa: engine.isa(),
        threads,
        load_ms: 1e3 * load_s,
        mel_ms: 1e3 * mel_s,
        encode_ms: 1e3 * encode_s,
        encode_tops: operations as f64 / encode_s / 1e12,
        roofline_tops: int8_peak(*cpu, pool),
        decode: [1, 4, 8, 16, 32].map(|batch| measure_decoding(&engine, &mel, batch)).into(),
    };
    Ok(if args.json { json(&measurements) } else { table(&measurements) })
}

fn json(measurements: &Measurements) -> String {
    let Measurements { isa, threads, load_ms, mel_ms, encode_ms, encode_tops, roofline_tops, decode } = measurements;
    let decode = decode.iter().map(|DecodeSpeed { batch, tokens_per_s, bytes_per_step }| {
        json!({ "batch": batch, "tokens_per_s": tokens_per_s, "bytes_per_step": bytes_per_step })
    });
    format!(
        "{}\n",
        json!({
            "isa": isa.name(), "threads": threads, "load_ms": load_ms, "mel_ms": mel_ms,
            "encode_ms": encode_ms, "encode_tops": encode_tops, "roofline_tops": roofline_tops,
            "decode": decode.collect::<Vec<Value>>(), "peak_rss_mb": peak_rss_mb(),
        })
    )
}

fn table(measurements: &Measurements) -> String {
    let Measurements { isa, threads, load_ms, mel_ms, encode_ms, encode_tops, roofline_tops, decode } = measurements;
    let mut table = vec![format!("{isa}, {threads} thread(s)")];
    for (name, ms) in [("load", load_ms), ("mel, 30 s", mel_ms), ("encode, 30 s", encode_ms)] {
        table.push(format!("{name:<16}{ms:>10.1} ms"));
    }
    let percent = 100.0 * encode_tops / roofline_tops;
    table.push(format!(
        "{:<16}{encode_tops:>10.3} TOP/s, {percent:.0} % of the limit in registers, {roofline_tops:.3} TOP/s",
        ""
    ));
    for DecodeSpeed { batch, tokens_per_s, bytes_per_step } in decode {
        let megabytes = *bytes_per_step as f64 / 1e6;
        let bandwidth = tokens_per_s / *batch as f64 * megabytes / 1e3;
        table.push(format!(
            "decode, batch {batch:<2}{tokens_per_s:>10.0} tokens/s, {megabytes:.0} MB per step, {bandwidth:.0} GB/s"
        ));
    }
    if let Some(peak) = peak_rss_mb() {
        table.push(format!("{:<16}{peak:>10.0} MB", "peak memory"));
    }
    table.join("\n") + "\n"
}

/// Measures the speed of decoding `batch` windows together. The measured steps follow after some decoded tokens, as
/// in the middle of a text.
fn measure_decoding(engine: &Engine, mel: &[f32], batch: usize) -> DecodeSpeed {
    // Encode the window once for each sequence of the batch: in real use, the sequences do not share their
    // cross-attention keys and values, so they must not share them here.
    let windows: Vec<_> = (0..batch).map(|_| engine.encode(mel).expect("the same window was encoded before")).collect();
    let mut buffers = engine.step_buffers();
    let mut round = || {
        let mut sequences: Vec<Sequence> = windows.iter().map(|window| engine.start(window)).collect();
        let mut step = |tokens: &[u32]| {
            let mut steps: Vec<Step<'_>> = sequences.iter_mut().map(|sequence| Step { sequence, tokens }).collect();
            engine.step_into(&mut steps, &mut buffers).expect(NATIVE);
            black_box(buffers.logits());
        };
        step(&[0; CONTEXT_TOKENS]);
        let start = Instant::now();
        (0..STEPS).for_each(|_| step(&[0]));
        start.elapsed().as_secs_f64()
    };
    let seconds = (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min);
    let bytes_per_step = engine.step_bytes(batch).expect(NATIVE);
    DecodeSpeed { batch, tokens_per_s: (batch * STEPS) as f64 / seconds, bytes_per_step }
}

/// Returns 30 s of tones with rising pitch. Any audio would do, because the measured speed does not depend on it.
fn chirps() -> Vec<f32> {
    (0..WINDOW_SAMPLES).map(|i| ((i % 16_000) as f32 * i as f32 * 1e-5).sin() * 0.3).collect()
}
