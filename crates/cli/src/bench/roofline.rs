//! `amanuensis bench roofline`: measures the machine's speed limits for arithmetic and for reading memory.

use std::hint::black_box;
use std::iter;

use amanuensis_kernels::gemm::LineI8;
use amanuensis_kernels::{Cpu, Pool, roofline};
use serde_json::json;

use super::args::BenchRooflineArgs;
use super::timing::{fastest, int8_peak, tera_operations};
use crate::load::thread_count;

/// The memory levels to measure: the name of each, and the size in bytes of the buffer that each thread reads
/// repeatedly. The first buffer fits into every L2 cache, the second fits only into the L3 cache, and the third is
/// larger than one core's share of the L3 cache.
const BUFFERS: [(&str, usize); 3] =
    [("256 KiB, L2", 256 << 10), ("8 MiB, L3", 8 << 20), ("256 MiB, memory", 256 << 20)];

/// Number of bytes that each thread reads in one round of a measurement.
const ROUND_BYTES: usize = 256 << 20;

/// One speed limit of the machine. `values` holds one measurement for each number of threads.
struct Row {
    what: String,
    unit: &'static str,
    values: Vec<f64>,
}

pub fn measure(args: &BenchRooflineArgs) -> String {
    let counts = thread_counts(thread_count(args.threads));
    let pools: Vec<Pool> = counts.iter().map(|count| Pool::new(*count)).collect();
    let mut rows = Vec::new();
    let mut row = |what: String, unit, value: &dyn Fn(&Pool) -> f64| {
        rows.push(Row { what, unit, values: pools.iter().map(value).collect() });
    };
    for cpu in Cpu::all() {
        let isa = cpu.isa();
        row(format!("int8 {isa}"), "TOP/s", &|pool| int8_peak(cpu, pool));
        if roofline::bf16(cpu, 0).is_some() {
            let run_loop = |iterations| roofline::bf16(cpu, iterations).unwrap_or(0);
            row(format!("bf16 {isa}"), "TFLOP/s", &|pool| tera_operations(pool, run_loop));
        }
        row(format!("f32 {isa}"), "TFLOP/s", &|pool| {
            tera_operations(pool, |iterations| roofline::f32(cpu, iterations))
        });
    }
    for (name, bytes) in BUFFERS {
        row(format!("read {name}"), "GB/s", &|pool| read_bandwidth(Cpu::detect(), pool, bytes));
    }
    if args.json {
        let row = |Row { what, unit, values }: &Row| json!({ "what": what, "unit": unit, "values": values });
        return format!("{}\n", json!({ "threads": counts, "rows": rows.iter().map(row).collect::<Vec<_>>() }));
    }
    table(&counts, &rows)
}

fn table(counts: &[usize], rows: &[Row]) -> String {
    let column = |count: &usize| format!("{count:>6} thread{}", if *count == 1 { " " } else { "s" });
    let mut table = vec![format!("{:<28}{}", "", counts.iter().map(column).collect::<Vec<_>>().concat())];
    for Row { what, unit, values } in rows {
        let values: Vec<String> = values.iter().map(|value| format!("{value:>14.3}")).collect();
        table.push(format!("{what:<28}{} {unit}", values.concat()));
    }
    table.push("All values are totals over all threads. Each thread reads a buffer of its own.".to_owned());
    table.join("\n") + "\n"
}

/// The numbers of threads to measure with: the powers of two below `max`, and `max` itself.
fn thread_counts(max: usize) -> Vec<usize> {
    let doubled = iter::successors(Some(1), |count| Some(2 * count)).take_while(|count| *count < max);
    doubled.chain([max]).collect()
}

/// The read bandwidth of all threads together in GB/s. Each thread reads a buffer of `bytes` bytes.
fn read_bandwidth(cpu: Cpu, pool: &Pool, bytes: usize) -> f64 {
    let data: Vec<Vec<LineI8>> = vec![vec![LineI8([1; 64]); bytes / size_of::<LineI8>()]; pool.threads()];
    let repeats = (ROUND_BYTES / bytes).max(1);
    let seconds = fastest(|| {
        pool.run(pool.threads(), &|thread, _| {
            for _ in 0..repeats {
                roofline::read(cpu, black_box(&data[thread]));
            }
        });
    });
    (bytes * repeats * pool.threads()) as f64 / seconds / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_counts_are_doubled_up_to_the_maximum() {
        assert_eq!(thread_counts(1), [1]);
        assert_eq!(thread_counts(2), [1, 2]);
        assert_eq!(thread_counts(6), [1, 2, 4, 6]);
        assert_eq!(thread_counts(8), [1, 2, 4, 8]);
    }
}
