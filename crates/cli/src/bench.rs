//! `amanuensis bench`: what this machine can do, and how much of it is used.
//!
//! Times are wall times, the best of several rounds: what disturbs a measurement only ever makes it longer.

use std::hint::black_box;
use std::io::{self, Write};
use std::time::Instant;

use amanuensis_audio::{LogMel, WINDOW_SAMPLES};
use amanuensis_engine::{ComputeType, Engine, EngineOptions, Sequence, Step};
use amanuensis_kernels::gemm::LineI8;
use amanuensis_kernels::{Context, Cpu, Pool, roofline};
use amanuensis_models::Store;
use serde_json::{Value, json};

use crate::args::{BenchCommand, BenchModelArgs, BenchRooflineArgs};
use crate::failure::Failure;
use crate::models;

/// Rounds to take the best of.
const ROUNDS: usize = 7;

/// Tokens of the text before the decoding steps that are timed, and the steps of a round.
const BEFORE: usize = 16;
const STEPS: usize = 8;

pub fn run(command: &BenchCommand) -> Result<(), Failure> {
    let report = match command {
        BenchCommand::Roofline(args) => measure_roofline(args),
        BenchCommand::Model(args) => measure_model(args)?,
    };
    io::stdout().write_all(report.as_bytes()).map_err(|error| Failure::of_stdout(&error))
}

/// Seconds of the quickest of several rounds.
fn best(mut work: impl FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

fn threads(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into))
}

/// Operations a second of `loops`, which says how many it did, on all threads of the pool, in 10^12.
fn tera_operations(pool: &Pool, loops: impl Fn() -> u64 + Sync) -> f64 {
    let operations = loops() * pool.threads() as u64;
    let everywhere = || {
        pool.run(pool.threads(), &|_, _| {
            black_box(loops());
        });
    };
    operations as f64 / best(everywhere) / 1e12
}

/// What the int8 instructions of this set reach in registers, in 10^12 operations a second.
fn int8_peak(cpu: Cpu, pool: &Pool) -> f64 {
    tera_operations(pool, || roofline::int8(cpu, 2_000_000))
}

/// Bytes a second that all threads together read out of `bytes` bytes each, in 10^9.
fn read_bandwidth(cpu: Cpu, pool: &Pool, bytes: usize) -> f64 {
    let data: Vec<Vec<LineI8>> = vec![vec![LineI8([1; 64]); bytes / 64]; pool.threads()];
    let repeats = (256 << 20) / bytes;
    let seconds = best(|| {
        pool.run(pool.threads(), &|thread, _| {
            for _ in 0..repeats {
                roofline::read(cpu, black_box(&data[thread]));
            }
        });
    });
    (bytes * repeats * pool.threads()) as f64 / seconds / 1e9
}

fn measure_roofline(args: &BenchRooflineArgs) -> String {
    let counts: Vec<usize> = match threads(args.threads) {
        1 => vec![1],
        many => vec![1, many],
    };
    let mut rows: Vec<(String, &str, Vec<f64>)> = Vec::new();
    let pools: Vec<Pool> = counts.iter().map(|count| Pool::new(*count)).collect();
    for cpu in Cpu::all() {
        let int8 = pools.iter().map(|pool| int8_peak(cpu, pool)).collect();
        rows.push((format!("int8 {}", cpu.isa()), "TOP/s", int8));
        let f32 = pools.iter().map(|pool| tera_operations(pool, || roofline::f32(cpu, 2_000_000))).collect();
        rows.push((format!("f32 {}", cpu.isa()), "TFLOP/s", f32));
    }
    for (name, bytes) in [("256 KiB", 256 << 10), ("8 MiB", 8 << 20), ("256 MiB", 256 << 20)] {
        let read = pools.iter().map(|pool| read_bandwidth(Cpu::detect(), pool, bytes)).collect();
        rows.push((format!("read {name} a thread"), "GB/s", read));
    }
    if args.json {
        let row =
            |(name, unit, values): &(String, &str, Vec<f64>)| json!({ "what": name, "unit": unit, "values": values });
        return format!("{}\n", json!({ "threads": counts, "rows": rows.iter().map(row).collect::<Vec<_>>() }));
    }
    let column = |count: &usize| format!("{count:>6} thread{}", if *count == 1 { " " } else { "s" });
    let mut table = vec![format!("{:<28}{}", "", counts.iter().map(column).collect::<Vec<_>>().concat())];
    for (name, unit, values) in rows {
        let values: Vec<String> = values.iter().map(|value| format!("{value:>14.3}")).collect();
        table.push(format!("{name:<28}{} {unit}", values.concat()));
    }
    table.join("\n") + "\n"
}

/// Decoding at one batch size.
struct Decoding {
    batch: usize,
    tokens_per_s: f64,
    bytes_per_step: u64,
}

fn measure_model(args: &BenchModelArgs) -> Result<String, Failure> {
    let store = Store::open_default().map_err(models::failure)?;
    let path =
        store.resolve(&args.model, true, &mut |_| std::ops::ControlFlow::Continue(())).map_err(models::failure)?;
    let options = EngineOptions { compute_type: ComputeType::Int8, threads: threads(args.threads) };
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
    let encode_tops = engine.encoder_operations() as f64 / encode_time / 1e12;
    let Context { cpu, pool } = engine.context();
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
            engine.step_into(&mut steps, &mut buffers);
            black_box(buffers.logits());
        };
        step(&[0; BEFORE]);
        let start = Instant::now();
        (0..STEPS).for_each(|_| step(&[0]));
        start.elapsed().as_secs_f64()
    };
    let seconds = (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min);
    Decoding { batch, tokens_per_s: (batch * STEPS) as f64 / seconds, bytes_per_step: engine.step_bytes(batch) }
}

/// A window of rising tones: what is computed does not depend on what is said.
fn chirps() -> Vec<f32> {
    (0..WINDOW_SAMPLES).map(|i| ((i % 16_000) as f32 * i as f32 * 1e-5).sin() * 0.3).collect()
}

/// The most memory that this process had, in 10^6 bytes, where the system tells.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: f64 =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}
