//! `amanuensis bench`: what this machine can do, and how much of it is used.
//!
//! Times are wall times, of parts the best of several rounds: what disturbs a measurement only ever makes it longer.

pub mod args;
mod live;
mod matmul;
mod model;
mod roofline;
mod shape;
mod tiles;
mod transcribe;

use std::hint::black_box;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use amanuensis_kernels::{Cpu, Pool};
use amanuensis_models::{SPEECH_DETECTOR, Store};
use amanuensis_transcribe::SileroVad;

use crate::failure::Failure;
use crate::models;
use args::BenchCommand;

/// Rounds to take the best of.
const ROUNDS: usize = 7;

/// How long a round lasts at least, where the work can be repeated: long beside what starting it takes.
const ROUND: Duration = Duration::from_millis(10);

pub fn run(command: &BenchCommand) -> Result<(), Failure> {
    match command {
        BenchCommand::Roofline(args) => print(&roofline::measure(args)),
        BenchCommand::Matmul(args) => matmul::run(args),
        BenchCommand::Model(args) => print(&model::measure(args)?),
        BenchCommand::Transcribe(args) => print(&transcribe::measure(args)?),
        BenchCommand::Live(args) => print(&live::measure(args)?),
    }
}

fn print(report: &str) -> Result<(), Failure> {
    io::stdout().write_all(report.as_bytes()).map_err(|error| Failure::of_stdout(&error))
}

/// Seconds that something takes.
fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Seconds of the quickest of several rounds.
fn best(mut work: impl FnMut()) -> f64 {
    (0..ROUNDS).map(|_| seconds(&mut work)).fold(f64::INFINITY, f64::min)
}

fn threads(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into))
}

/// Operations a second of `loops`, which goes round as often as it is told and says how many operations that were, on all
/// threads of the pool, in 10^12.
fn tera_operations(pool: &Pool, loops: impl Fn(usize) -> u64 + Sync) -> f64 {
    let work = |rounds| {
        black_box(loops(rounds));
    };
    let mut rounds = 1000;
    while seconds(|| work(rounds)) < ROUND.as_secs_f64() {
        rounds *= 2;
    }
    let operations = loops(rounds) * pool.threads() as u64;
    let everywhere = || pool.run(pool.threads(), &|_, _| work(rounds));
    operations as f64 / best(everywhere) / 1e12
}

/// What the int8 instructions of this set reach in registers, in 10^12 operations a second.
fn int8_peak(cpu: Cpu, pool: &Pool) -> f64 {
    tera_operations(pool, |rounds| amanuensis_kernels::roofline::int8(cpu, rounds))
}

/// Where an installed model is: fetching is no part of what is measured.
fn installed(model: &str) -> Result<PathBuf, Failure> {
    let store = Store::open_default().map_err(models::failure)?;
    store.resolve(model, true, &mut |_| ControlFlow::Continue(())).map_err(models::failure)
}

/// The voice detector, which a transcription takes too, where it is installed.
fn installed_detector() -> Result<Option<SileroVad>, Failure> {
    let store = Store::open_default().map_err(models::failure)?;
    let Ok(path) = store.path(SPEECH_DETECTOR) else { return Ok(None) };
    let detector = SileroVad::load(&path);
    detector.map(Some).map_err(|error| Failure::Failed(format!("cannot load the voice detector: {error}")))
}

/// The most memory that this process had, in 10^6 bytes, where the system tells.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: f64 =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}
