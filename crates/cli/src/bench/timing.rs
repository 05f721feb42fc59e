//! Measures durations.
//!
//! Work is measured in several rounds, and the fastest round counts. Other programs can only make a round slower,
//! never faster.

use std::hint::black_box;
use std::time::{Duration, Instant};

use amanuensis_kernels::{Cpu, Pool};

/// Number of rounds. The fastest one counts.
pub const ROUNDS: usize = 7;

/// Minimum duration of a round. Short work is repeated, so that the cost of starting the work does not matter.
const MIN_ROUND: Duration = Duration::from_millis(10);

/// After this time, [`fastest_repeated`] starts no further round.
const MAX_TOTAL: Duration = Duration::from_secs(2);

/// The duration of `work` in seconds.
pub fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// The duration of the fastest round in seconds.
pub fn fastest(mut work: impl FnMut()) -> f64 {
    (0..ROUNDS).map(|_| seconds(&mut work)).fold(f64::INFINITY, f64::min)
}

/// The duration of one call of `work` in the fastest round, in seconds. The first call warms up the caches and is not
/// measured as a round. Short work is called several times in each round.
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

/// Runs `run_loop` on all threads of the pool, and returns the operations per second, in 10^12.
///
/// `run_loop(n)` must run `n` iterations and return the number of operations in them.
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

/// The limit of the int8 instructions of `cpu` in registers, in 10^12 operations per second.
pub fn int8_peak(cpu: Cpu, pool: &Pool) -> f64 {
    tera_operations(pool, |iterations| amanuensis_kernels::roofline::int8(cpu, iterations))
}
