//! `amanuensis bench matmul`: int8 products by themselves, by both contracts, and whether they are right.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use amanuensis_kernels::gemm::{Epilogue, Output, PANEL, PackedI8, QuantisedRows, RowsF32, gemm_int8, kernel};
use amanuensis_kernels::tile::TileSize;
use amanuensis_kernels::{Aligned, Context, Cpu, Isa, Pool};
use serde_json::{Value, json};

use super::args::{BenchMatmulArgs, Choice};
use super::shape::{Shape, available_memory, fits};
use super::tiles::{self, TileRow};
use super::{ROUND, ROUNDS, int8_peak, print, seconds, threads};
use crate::failure::Failure;

/// What is measured where nothing is asked for.
const SIZES: [usize; 5] = [16, 64, 128, 512, 1024];
/// Products of the model `base`: a window's attention and feed-forward layers, and the logits of sixteen windows.
const SHAPES: [[usize; 3]; 4] = [[1500, 512, 512], [1500, 512, 2048], [1500, 2048, 512], [16, 512, 51_865]];

/// Rows and panels of a block: its sums stay in the innermost cache.
const BLOCK_ROWS: usize = 32;
const BLOCK_PANELS: usize = 16;

/// A measurement takes no more rounds when it has taken so long.
const ENOUGH: Duration = Duration::from_secs(2);

/// One shape on one instruction set; speeds in 10^9 operations a second.
struct Row {
    shape: Shape,
    isa: Isa,
    peak_tops: f64,
    bare: f64,
    f32: f64,
    quantise: f64,
    equal: bool,
    rows_compared: usize,
}

impl Row {
    fn share(&self, gops: f64) -> f64 {
        gops / 1e3 / self.peak_tops
    }

    /// Seconds of the whole product, written as f32.
    fn seconds(&self) -> f64 {
        self.shape.operations() / self.f32 / 1e9
    }

    /// How much faster it is than the same cube in tiles, one launch at a time.
    fn speedup(&self, tiles: &[TileRow]) -> Option<f64> {
        let same = tiles.iter().find(|row| Some(row.size) == self.shape.side() && row.isa == self.isa)?;
        Some(same.sequential_seconds() / self.seconds())
    }

    fn json(&self, tiles: &[TileRow]) -> Value {
        json!({
            "size": self.shape.side(), "tile": null, "contract": "full", "mode": "kernel",
            "ms": self.seconds() * 1e3, "gops": self.f32, "speedup": self.speedup(tiles),
            "shape": [self.shape.m, self.shape.k, self.shape.n], "isa": self.isa.name(), "roofline_tops": self.peak_tops,
            "bare_gops": self.bare, "bare_share": self.share(self.bare),
            "f32_gops": self.f32, "f32_share": self.share(self.f32),
            "quantise_gops": self.quantise, "quantise_share": self.share(self.quantise),
            "equal": self.equal, "rows_compared": self.rows_compared,
        })
    }

    fn line(&self) -> String {
        let speed = |gops: f64| format!("{gops:>9.1} GOP/s {:>3.0} %", 100.0 * self.share(gops));
        let equal = match (self.equal, self.rows_compared == self.shape.m) {
            (false, _) => "NO".to_owned(),
            (true, true) => "yes, all rows".to_owned(),
            (true, false) => format!("yes, {} rows of {}", self.rows_compared, self.shape.m),
        };
        let [bare, f32, quantise] = [self.bare, self.f32, self.quantise].map(speed);
        format!("{:<18}{:<13}{bare}  {f32}  {quantise}  {equal}", self.shape, self.isa.name())
    }
}

pub fn run(args: &BenchMatmulArgs) -> Result<(), Failure> {
    let cpus = chosen(&args.isa)?;
    let shapes = shapes(args);
    shapes.iter().try_for_each(|shape| fits(*shape, available_memory()))?;
    let cubes: Vec<usize> =
        shapes.iter().filter_map(|shape| shape.side()).filter(|side| *side <= tiles::LARGEST).collect();
    let sizes_of_tiles = if args.tiles.is_empty() { &TileSize::ALL[..] } else { &args.tiles };
    if cubes.is_empty() && !args.tiles.is_empty() {
        let message = format!("--tiles is for square shapes up to {}, and none is asked for", tiles::LARGEST);
        return Err(Failure::Usage(message));
    }
    let mut context = Context::with(cpus[0], threads(args.threads));
    let peaks: Vec<(Cpu, f64)> = cpus.iter().map(|cpu| (*cpu, int8_peak(*cpu, &context.pool))).collect();
    let mut tiled = Vec::new();
    for size in cubes {
        tiled.extend(tiles::measure(size, sizes_of_tiles, &cpus)?);
    }
    let rows: Vec<Row> = shapes.iter().flat_map(|shape| measure(*shape, &peaks, &mut context)).collect();

    let threads = context.pool.threads();
    if args.json {
        let (isa, peak) = (peaks[0].0.isa().name(), peaks[0].1);
        let full = rows.iter().map(|row| row.json(&tiled));
        let rows: Vec<Value> = tiled.iter().flat_map(TileRow::json).chain(full).collect();
        print(&format!("{}\n", json!({ "threads": threads, "isa": isa, "roofline_tops": peak, "rows": rows })))?;
    } else {
        print(&(table(&tiled, &rows, &peaks, threads).join("\n") + "\n"))?;
    }
    let wrong =
        tiled.iter().find(|row| !row.equal()).map(|row| (row.isa, format!("{0} in tiles of {1}", row.size, row.tile)));
    let wrong = wrong.or_else(|| rows.iter().find(|row| !row.equal).map(|row| (row.isa, row.shape.to_string())));
    match wrong {
        Some((isa, what)) => Err(Failure::Failed(format!("{isa} gives other results than the reference for {what}"))),
        None => Ok(()),
    }
}

fn table(tiled: &[TileRow], rows: &[Row], peaks: &[(Cpu, f64)], threads: usize) -> Vec<String> {
    let mut table: Vec<String> = Vec::new();
    for (cpu, peak) in peaks {
        table.push(format!("{}, {threads} thread(s): {peak:.3} TOP/s in registers", cpu.isa()));
    }
    for isa in peaks.iter().map(|(cpu, _)| cpu.isa()) {
        let tiled: Vec<&TileRow> = tiled.iter().filter(|row| row.isa == isa).collect();
        let full = |size| rows.iter().find(|row| row.isa == isa && row.shape.side() == Some(size));
        if !tiled.is_empty() {
            table.push(format!("\nboth contracts, {isa}, tiles on the processor as a device"));
            table.extend(tiles::table(&tiled, |size| full(size).map(|row| (row.seconds(), row.equal))));
        }
    }
    let first: Vec<&TileRow> = tiled.iter().filter(|row| row.isa == peaks[0].0.isa()).collect();
    if !first.is_empty() {
        table.push(
            "\nthe same launches on an NPU, predicted from published figures, ms (untested on hardware)".to_owned(),
        );
        table.extend(tiles::predictions(&first));
    }
    table.push(format!(
        "\n{:<18}{:<13}{:>15}{:>23}{:>23}{:>15}",
        "full contract", "", "bare", "to f32", "quantised", "equal"
    ));
    table.extend(rows.iter().map(Row::line));
    table
}

/// The shapes asked for, or the usual ones.
fn shapes(args: &BenchMatmulArgs) -> Vec<Shape> {
    if args.sizes.is_empty() && args.shapes.is_empty() {
        let usual = SIZES.map(|size| [size; 3]).into_iter().chain(SHAPES);
        return usual.map(|[m, k, n]| Shape { m, k, n }).collect();
    }
    args.sizes.iter().chain(&args.shapes).copied().collect()
}

/// The instruction sets asked for, each once.
fn chosen(choices: &[Choice]) -> Result<Vec<Cpu>, Failure> {
    if choices.is_empty() {
        return Ok(vec![Cpu::from_environment().map_err(|error| Failure::Usage(error.to_string()))?]);
    }
    let mut cpus: Vec<Cpu> = Vec::new();
    for choice in choices {
        let named = match choice {
            Choice::All => Cpu::all().collect(),
            Choice::One(isa) => vec![Cpu::with(*isa).map_err(|_| lacks(*isa))?],
        };
        cpus.extend(named);
    }
    let mut once: Vec<Cpu> = Vec::new();
    for cpu in cpus {
        if !once.contains(&cpu) {
            once.push(cpu);
        }
    }
    Ok(once)
}

fn lacks(isa: Isa) -> Failure {
    let there: Vec<&str> = Cpu::all().map(|cpu| cpu.isa().name()).collect();
    Failure::Failed(format!("this machine has no {isa}; it has {}", there.join(", ")))
}

/// Numbers that look random and are the same every time, over all of -127..=127.
pub fn byte(index: usize) -> i8 {
    // The finaliser of SplitMix64.
    let mut bits = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((((bits >> 32) * 255) >> 32) as i32 - 127) as i8
}

fn measure(shape: Shape, peaks: &[(Cpu, f64)], context: &mut Context) -> Vec<Row> {
    let Shape { m, k, n } = shape;
    let mut a = QuantisedRows::default();
    {
        // A row begins with the largest value there is, so that quantising it changes nothing.
        let value = |index: usize| if index.is_multiple_of(k) { 127.0 } else { f32::from(byte(index)) };
        let values: Vec<f32> = (0..m * k).map(value).collect();
        a.assign(context, RowsF32::new(&values, k));
    }
    let b = PackedI8::from_int8(context, n, k, &|channel, out| {
        out.iter_mut().enumerate().for_each(|(at, out)| *out = byte(m * k + channel * k + at));
        1e-4
    });
    let bias: Vec<f32> = (0..n).map(|column| f32::from(byte(column)) / 127.0).collect();
    let epilogue = Epilogue { bias: Some(&bias), ..Epilogue::default() };
    let reference = Reference::of(shape, &a, &b, &context.pool);
    let (mut out, mut quantised) = (Aligned::default(), QuantisedRows::default());
    out.resize(m * n);
    let blocks = Blocks::new(&context.pool);

    let unseen = |_: usize, _: usize, sums: &[i32]| {
        black_box(sums);
    };
    let row = |(cpu, peak_tops): &(Cpu, f64)| {
        context.cpu = *cpu;
        let context = &*context;
        let gops = |work: &mut dyn FnMut()| shape.operations() / quickest(work) / 1e9;
        Row {
            shape,
            isa: cpu.isa(),
            peak_tops: *peak_tops,
            equal: reference.equals(|each| blocks.multiply(context, &a, &b, each)),
            rows_compared: reference.rows.len(),
            bare: gops(&mut || blocks.multiply(context, &a, &b, &unseen)),
            f32: gops(&mut || gemm_int8(context, &a, &b, &epilogue, Output::Write(&mut out))),
            quantise: gops(&mut || gemm_int8(context, &a, &b, &epilogue, Output::Quantise(&mut quantised))),
        }
    };
    peaks.iter().map(row).collect()
}

/// Seconds that the work takes at best, after a round that warms up; short work is repeated within a round.
pub fn quickest(work: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    let first = seconds(&mut *work).max(1e-9);
    let repeats = (ROUND.as_secs_f64() / first).clamp(1.0, 1e6) as usize;
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        best = best.min(seconds(|| (0..repeats).for_each(|_| work())) / repeats as f64);
        if start.elapsed() > ENOUGH {
            break;
        }
    }
    best
}

/// Takes a block of sums: `each(first row, first panel, sums)`.
type Each<'a> = dyn Fn(usize, usize, &[i32]) + Sync + 'a;

/// The product without anything around it: the sums of each thread stay in its cache and are forgotten.
struct Blocks(Vec<Mutex<Aligned<i32>>>);

impl Blocks {
    fn new(pool: &Pool) -> Self {
        Self((0..pool.threads()).map(|_| Mutex::default()).collect())
    }

    /// Computes all sums, block by block. Threads share the rows out, or the panels where there are too few rows.
    fn multiply(&self, context: &Context, a: &QuantisedRows, b: &PackedI8, each: &Each<'_>) {
        let (kernel, threads) = (kernel(context.cpu), context.pool.threads());
        let (m, panels) = (a.rows(), b.n().div_ceil(PANEL));
        let has_few_rows = m.div_ceil(BLOCK_ROWS) < threads;
        let task_panels = if has_few_rows { panels.div_ceil(threads).min(BLOCK_PANELS) } else { panels };
        let across = panels.div_ceil(task_panels);
        let tasks = m.div_ceil(BLOCK_ROWS) * across;
        let next = AtomicUsize::new(0);
        context.pool.run(threads, &|thread, _| {
            let mut sums = self.0[thread].lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                let task = next.fetch_add(1, Ordering::Relaxed);
                if task >= tasks {
                    break;
                }
                let (row, panel) = (task / across * BLOCK_ROWS, task % across * task_panels);
                let (rows, end) = (BLOCK_ROWS.min(m - row), panels.min(panel + task_panels));
                kernel.int8_by_groups(
                    a.slice(row, rows),
                    b.panels(panel, end - panel),
                    &mut sums,
                    &mut |first, sums| {
                        each(row, panel + first, sums);
                    },
                );
            }
        });
    }
}

/// What the reference makes of some rows.
struct Reference {
    shape: Shape,
    /// Which rows, ascending.
    rows: Vec<usize>,
    /// `(rows, width)`.
    sums: Vec<i32>,
}

impl Reference {
    fn of(shape: Shape, a: &QuantisedRows, b: &PackedI8, pool: &Pool) -> Self {
        let count = shape.rows_compared();
        // Evenly spread, with the first and the last.
        let rows: Vec<usize> = (0..count).map(|index| index * (shape.m - 1) / (count - 1).max(1)).collect();
        let mut sums = vec![0; count * shape.width()];
        let cpu = Cpu::with(Isa::Reference).expect("the reference runs everywhere");
        pool.chunks_mut(&mut sums, shape.width(), &|index, sums, _| {
            kernel(cpu).int8(a.slice(rows[index], 1), b.panels(0, shape.width() / PANEL), sums);
        });
        Self { shape, rows, sums }
    }

    /// Whether a product, which hands its blocks over, has exactly these sums, all of them.
    fn equals(&self, product: impl FnOnce(&Each<'_>)) -> bool {
        let (same, width) = (AtomicUsize::new(0), self.shape.width());
        product(&|row, panel, sums| {
            let rows = BLOCK_ROWS.min(self.shape.m - row);
            let block_width = sums.len() / rows;
            let first = self.rows.partition_point(|at| *at < row);
            for (index, at) in self.rows.iter().enumerate().skip(first).take_while(|(_, at)| **at < row + rows) {
                let found = &sums[(at - row) * block_width..][..block_width];
                if *found == self.sums[index * width + panel * PANEL..][..block_width] {
                    same.fetch_add(block_width, Ordering::Relaxed);
                }
            }
        });
        same.into_inner() == self.sums.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_all_there_are() {
        let mut counts = [0; 256];
        (0..25_500).for_each(|index| counts[usize::from(byte(index).cast_unsigned())] += 1);
        assert_eq!(counts[usize::from((-128_i8).cast_unsigned())], 0);
        assert_eq!(counts.iter().filter(|count| **count > 0).count(), 255);
    }

    /// Many rows, few rows, ends of blocks and groups; and one wrong sum, in the last row that is compared.
    #[test]
    fn blocks_are_the_reference_and_a_wrong_sum_is_found() {
        for (shape, threads) in [([70, 20, 300], 2), ([3, 64, 700], 2), ([33, 5, 17], 3), ([1, 1, 1], 1)] {
            let [m, k, n] = shape;
            let context = &Context::with(Cpu::detect(), threads);
            let values: Vec<f32> = (0..m * k).map(|index| f32::from(byte(index))).collect();
            let mut a = QuantisedRows::default();
            a.assign(context, RowsF32::new(&values, k));
            let b = PackedI8::from_int8(context, n, k, &|channel, out| {
                out.fill(byte(channel));
                1.0
            });
            let mut reference = Reference::of(Shape { m, k, n }, &a, &b, &context.pool);
            let blocks = Blocks::new(&context.pool);
            assert!(reference.equals(|each| blocks.multiply(context, &a, &b, each)), "{shape:?}");
            assert!(!reference.equals(|_| ()), "{shape:?}");
            *reference.sums.last_mut().unwrap() += 1;
            assert!(!reference.equals(|each| blocks.multiply(context, &a, &b, each)), "{shape:?}");
        }
    }
}
