//! `amanuensis bench model`: loading, mel, encoding and decoding.

use std::hint::black_box;
use std::time::Instant;

use amanuensis_audio::{LogMel, WINDOW_SAMPLES};
use amanuensis_engine::{ComputeType, Engine, EngineOptions, Sequence, Step};
use amanuensis_kernels::Context;
use serde_json::{Value, json};

use super::args::BenchModelArgs;
use super::{ROUNDS, best, installed, int8_peak, peak_rss_mb, threads};
use crate::failure::Failure;

/// Tokens of the text before the decoding steps that are timed, and the steps of a round.
const BEFORE: usize = 16;
const STEPS: usize = 8;

/// Why nothing is missing or goes wrong that might where another runtime runs the model.
const OWN_ENGINE: &str = "the model was loaded into our own engine";

/// Decoding at one batch size.
struct Decoding {
    batch: usize,
    tokens_per_s: f64,
    bytes_per_step: u64,
}

pub fn measure(args: &BenchModelArgs) -> Result<String, Failure> {
    let path = installed(&args.model)?;
    let options =
        EngineOptions { compute_type: ComputeType::Int8, threads: threads(args.threads), ..EngineOptions::default() };
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("cannot measure {:?}: {error}", args.model));

    let start = Instant::now();
    let engine = Engine::load(&path, &options).map_err(|error| failed(&error))?;
    let load = start.elapsed().as_secs_f64();

    let mut mel = LogMel::new(engine.n_mels()).map_err(|error| failed(&error))?;
    let samples = chirps();
    let mut spectrogram = Vec::new();
    let mel_time = best(|| mel.window(&samples, &mut spectrogram).expect("the samples fill one window"));
    engine.encode(&spectrogram).map_err(|error| failed(&error))?;
    if engine.n_text_ctx() < BEFORE + STEPS {
        return Err(failed(&format!("it has {} text positions, too few to time steps", engine.n_text_ctx())));
    }
    let encode_time = best(|| drop(engine.encode(&spectrogram).expect("it was encoded just now")));
    let operations = engine.encoder_operations().expect(OWN_ENGINE);
    let encode_tops = operations as f64 / encode_time / 1e12;
    let Context { cpu, pool, .. } = engine.context();
    let roofline_tops = int8_peak(*cpu, pool);
    let decode: Vec<Decoding> = [1, 4, 8, 16, 32].map(|batch| measure_decoding(&engine, &spectrogram, batch)).into();
    let (isa, load_ms, mel_ms, encode_ms) = (engine.isa(), 1e3 * load, 1e3 * mel_time, 1e3 * encode_time);

    if args.json {
        let step = |d: &Decoding| json!({ "batch": d.batch, "tokens_per_s": d.tokens_per_s, "bytes_per_step": d.bytes_per_step });
        return Ok(format!(
            "{}\n",
            json!({
                "isa": isa.name(), "threads": options.threads, "load_ms": load_ms, "mel_ms": mel_ms,
                "encode_ms": encode_ms, "encode_tops": encode_tops, "roofline_tops": roofline_tops,
                "decode": decode.iter().map(step).collect::<Vec<Value>>(), "peak_rss_mb": peak_rss_mb(),
            })
        ));
    }
    let mut table = vec![format!("{isa}, {} thread(s)", options.threads)];
    for (name, ms) in [("load", load_ms), ("mel, 30 s", mel_ms), ("encode, 30 s", encode_ms)] {
        table.push(format!("{name:<16}{ms:>10.1} ms"));
    }
    let share = 100.0 * encode_tops / roofline_tops;
    table.push(format!(
        "{:<16}{encode_tops:>10.3} TOP/s, {share:.0} % of the {roofline_tops:.3} that registers allow",
        ""
    ));
    for Decoding { batch, tokens_per_s, bytes_per_step } in decode {
        let bandwidth = tokens_per_s / batch as f64 * bytes_per_step as f64 / 1e9;
        let megabytes = bytes_per_step as f64 / 1e6;
        table.push(format!(
            "decode, batch {batch:<2}{tokens_per_s:>10.0} tokens/s, {megabytes:.0} MB a step, {bandwidth:.0} GB/s"
        ));
    }
    if let Some(peak) = peak_rss_mb() {
        table.push(format!("{:<16}{peak:>10.0} MB", "peak memory"));
    }
    Ok(table.join("\n") + "\n")
}

/// Tokens a second of steps in the middle of a text, where windows are decoded together.
fn measure_decoding(engine: &Engine, spectrogram: &[f32], batch: usize) -> Decoding {
    // Windows of their own: in practice no two share their keys and values.
    let windows: Vec<_> = (0..batch).map(|_| engine.encode(spectrogram).expect("it was encoded before")).collect();
    let mut buffers = engine.step_buffers();
    let mut round = || {
        let mut sequences: Vec<Sequence> = windows.iter().map(|window| engine.start(window)).collect();
        let mut step = |tokens: &[u32]| {
            let mut steps: Vec<Step<'_>> = sequences.iter_mut().map(|sequence| Step { sequence, tokens }).collect();
            engine.step_into(&mut steps, &mut buffers).expect(OWN_ENGINE);
            black_box(buffers.logits());
        };
        step(&[0; BEFORE]);
        let start = Instant::now();
        (0..STEPS).for_each(|_| step(&[0]));
        start.elapsed().as_secs_f64()
    };
    let seconds = (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min);
    let bytes_per_step = engine.step_bytes(batch).expect(OWN_ENGINE);
    Decoding { batch, tokens_per_s: (batch * STEPS) as f64 / seconds, bytes_per_step }
}

/// A window of rising tones: what is computed does not depend on what is said.
fn chirps() -> Vec<f32> {
    (0..WINDOW_SAMPLES).map(|i| ((i % 16_000) as f32 * i as f32 * 1e-5).sin() * 0.3).collect()
}
