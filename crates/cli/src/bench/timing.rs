//! Measures how long work takes.
//!
//! Work is measured in several rounds, and only the fastest round counts: other programs can make a round slower, but
//! never faster.

use std::hint::black_box;
use std::time::{Duration, Instant};

use amanuensis_kernels::{Cpu, Pool};

/// Number of rounds in which work is measured. Only the fastest one counts.
pub const ROUNDS: usize = 7;

/// Minimum duration of a round. Short work is repeated within a round, so that the time to start it does not matter.
const MIN_ROUND: Duration = Duration::from_millis(10);

/// The time after which [`fastest_repeated`] starts no further round.
const MAX_TOTAL: Duration = Duration::from_secs(2);

/// Runs `work` once and returns its duration in seconds.
pub fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Runs `work` once per round, and returns the duration of the fastest round in seconds.
pub fn fastest(mut work: impl FnMut()) -> f64 {
    (0..ROUNDS).map(|_| seconds(&mut work)).fold(f64::INFINITY, f64::min)
}

/// Returns the duration of one call of `work` in the fastest round, in seconds. The first call only fills the caches
/// and is not measured. Short work is called several times in each round.
pub fn fastest_repeated(work: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    let first = seconds(&mut *work).max(1e-9);
    let repeats = (MIN_ROUND.as_secs_f64() / first).clamp(1.0, 1e6) as usize;
    let mut fastest = f64::INFINITY;
    for _ in 0..ROUNDS {
        fastest = fastest.min(seconds(|| (0..repeats).for_each(|_| work())) / repeats as f64);
        if start.elapsed() > MAX_TOTAL {
            break;
        }
    }
    fastest
}

/// Measures arithmetic on all threads of the pool. Returns the number of operations per second, in 10^12.
///
/// `run_loop(n)` must run `n` iterations and return the number of operations that it did.
pub fn tera_operations(pool: &Pool, run_loop: impl Fn(usize) -> u64 + Sync) -> f64 {
    let work = |iterations| {
        black_box(run_loop(iterations));
    };
    let mut iterations = 1000;
    while seconds(|| work(iterations)) < MIN_ROUND.as_secs_f64() {
        iterations *= 2;
    }
    let operations = run_loop(iterations) * pool.threads() as u64;
    let on_all_threads = || pool.run(pool.threads(), &|_, _| work(iterations));
    operations as f64 / fastest(on_all_threads) / 1e12
}

/// Measures the machine's speed limit for int8 arithmetic with the instructions of `cpu`, when all operands stay in
/// registers. The result is in 10^12 operations per second.
pub fn int8_peak(cpu: Cpu, pool: &Pool) -> f64 {
    tera_operations(pool, |iterations| amanuensis_kernels::roofline::int8(cpu, iterations))
}
