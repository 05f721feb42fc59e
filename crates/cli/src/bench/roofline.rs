//! `amanuensis bench roofline`: the machine's own limits.

use std::hint::black_box;
use std::iter;

use amanuensis_kernels::gemm::LineI8;
use amanuensis_kernels::{Cpu, Pool, roofline};
use serde_json::json;

use super::args::BenchRooflineArgs;
use super::{best, int8_peak, tera_operations, threads};

/// What each thread reads over and over: a part of any L2, more than any L2 and a part of most L3, and more than a core's
/// share of any L3.
const SETS: [(&str, usize); 3] = [("256 KiB, L2", 256 << 10), ("8 MiB, L3", 8 << 20), ("256 MiB, memory", 256 << 20)];

/// Bytes that are read in a round.
const READ: usize = 256 << 20;

/// One limit, at each number of threads.
struct Row {
    what: String,
    unit: &'static str,
    values: Vec<f64>,
}

pub fn measure(args: &BenchRooflineArgs) -> String {
    let counts = counts(threads(args.threads));
    let pools: Vec<Pool> = counts.iter().map(|count| Pool::new(*count)).collect();
    let mut rows = Vec::new();
    let mut row = |what: String, unit, value: &dyn Fn(&Pool) -> f64| {
        rows.push(Row { what, unit, values: pools.iter().map(value).collect() });
    };
    for cpu in Cpu::all() {
        let isa = cpu.isa();
        row(format!("int8 {isa}"), "TOP/s", &|pool| int8_peak(cpu, pool));
        if roofline::bf16(cpu, 0).is_some() {
            let loops = |rounds| roofline::bf16(cpu, rounds).unwrap_or(0);
            row(format!("bf16 {isa}"), "TFLOP/s", &|pool| tera_operations(pool, loops));
        }
        row(format!("f32 {isa}"), "TFLOP/s", &|pool| tera_operations(pool, |rounds| roofline::f32(cpu, rounds)));
    }
    for (name, bytes) in SETS {
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
    table.push("Of all threads together. Each reads as much as its row says, its own, over and over.".to_owned());
    table.join("\n") + "\n"
}

/// Numbers of threads to measure with: 1, 2, 4 and so on, and the most.
fn counts(most: usize) -> Vec<usize> {
    let doubled = iter::successors(Some(1), |count| Some(2 * count)).take_while(|count| *count < most);
    doubled.chain([most]).collect()
}

/// Bytes a second that all threads together read out of `bytes` bytes each, in 10^9.
fn read_bandwidth(cpu: Cpu, pool: &Pool, bytes: usize) -> f64 {
    let data: Vec<Vec<LineI8>> = vec![vec![LineI8([1; 64]); bytes / size_of::<LineI8>()]; pool.threads()];
    let repeats = (READ / bytes).max(1);
    let seconds = best(|| {
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
    fn threads_are_doubled_up_to_the_most() {
        assert_eq!(counts(1), [1]);
        assert_eq!(counts(2), [1, 2]);
        assert_eq!(counts(6), [1, 2, 4, 6]);
        assert_eq!(counts(8), [1, 2, 4, 8]);
    }
}
