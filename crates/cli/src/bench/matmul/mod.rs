//! `amanuensis bench matmul`: measures the speed and correctness of int8 matrix products, computed exactly (the "full
//! contract") and in tiles like on an NPU (the "tile-exact contract"). docs/matmul.md defines both contracts.

pub mod args;
mod blocks;
mod data;
mod full;
mod shape;
#[cfg(feature = "npu")]
mod tiles;
#[cfg(not(feature = "npu"))]
#[path = "tiles_disabled.rs"]
mod tiles;

use amanuensis_kernels::tile::TileSize;
use amanuensis_kernels::{Context, Cpu, Isa};
use serde_json::{Value, json};

use crate::bench::memory::available_bytes;
use crate::bench::timing::int8_peak;
use crate::failure::Failure;
use crate::load::thread_count;
use crate::stdout::print;
use args::{BenchMatmulArgs, IsaChoice};
use full::FullRow;
use shape::Shape;
use tiles::TileRow;

/// Sizes of the square matrices that are multiplied by default.
const SIZES: [usize; 5] = [16, 64, 128, 512, 1024];

/// Shapes (m, k, n) that are measured by default. They occur in the model `base`: the attention and feed-forward
/// layers for one window, and the logits for 16 windows.
const SHAPES: [[usize; 3]; 4] = [[1500, 512, 512], [1500, 512, 2048], [1500, 2048, 512], [16, 512, 51_865]];

/// Maximum size of square matrices that are multiplied in tiles. Larger ones would take minutes, because in
/// sequential mode each kernel run waits for the one before it.
const MAX_TILED_SIZE: usize = 1024;

/// The measurements of all products: exact ones (`full`), and those computed in tiles like on an NPU (`tiled`).
struct Results {
    threads: usize,
    /// For each measured instruction set: how fast it computes if all operands stay in registers, in 10^12 int8
    /// operations per second. No product can be faster than this.
    peaks: Vec<(Cpu, f64)>,
    tiled: Vec<TileRow>,
    full: Vec<FullRow>,
}

pub fn run(args: &BenchMatmulArgs) -> Result<(), Failure> {
    let cpus = selected_cpus(&args.isa)?;
    let shapes = selected_shapes(args);
    shapes.iter().try_for_each(|shape| shape::check_memory(*shape, available_bytes()))?;
    let cubes: Vec<usize> =
        shapes.iter().filter_map(|shape| shape.cube_size()).filter(|size| *size <= MAX_TILED_SIZE).collect();
    let tile_sizes = if args.tiles.is_empty() { &TileSize::ALL[..] } else { &args.tiles };
    if !args.tiles.is_empty() {
        tiles::check_supported()?;
        if cubes.is_empty() {
            let message = format!("--tiles needs a cube of at most {MAX_TILED_SIZE}, with --sizes");
            return Err(Failure::Usage(message));
        }
    }
    let mut context = Context::with(cpus[0], thread_count(args.threads));
    let peaks: Vec<(Cpu, f64)> = cpus.iter().map(|cpu| (*cpu, int8_peak(*cpu, &context.pool))).collect();
    let mut tiled = Vec::new();
    for size in cubes {
        tiled.extend(tiles::measure(size, tile_sizes, &cpus)?);
    }
    let full: Vec<FullRow> = shapes.iter().flat_map(|shape| full::measure(*shape, &peaks, &mut context)).collect();
    let results = Results { threads: context.pool.threads(), peaks, tiled, full };
    print(&if args.json { results.json() } else { results.table() })?;
    match results.wrong() {
        Some((isa, product)) => Err(Failure::Failed(format!("{isa} differs from the reference for {product}"))),
        None => Ok(()),
    }
}

impl Results {
    fn json(&self) -> String {
        let (isa, peak) = (self.peaks[0].0.isa().name(), self.peaks[0].1);
        let full = self.full.iter().map(|row| row.json(self.full_speedup(row)));
        let rows: Vec<Value> = self.tiled.iter().flat_map(TileRow::json).chain(full).collect();
        format!("{}\n", json!({ "threads": self.threads, "isa": isa, "roofline_tops": peak, "rows": rows }))
    }

    fn table(&self) -> String {
        let mut table: Vec<String> = Vec::new();
        for (cpu, peak) in &self.peaks {
            table.push(format!("{}, {} thread(s): {peak:.3} TOP/s in registers", cpu.isa(), self.threads));
        }
        for isa in self.peaks.iter().map(|(cpu, _)| cpu.isa()) {
            let tiled = self.tiled_with(isa);
            let full = |size| self.full.iter().find(|row| row.isa == isa && row.shape.cube_size() == Some(size));
            if !tiled.is_empty() {
                table.push(format!("\ntile-exact and full contract, {isa}, with the CPU as the device"));
                table.extend(tiles::table(&tiled, |size| full(size).map(|row| (row.seconds(), row.equal))));
            }
        }
        let tiled = self.tiled_with(self.peaks[0].0.isa());
        if !tiled.is_empty() {
            table.push(
                "\nthe same launches on an NPU, predicted from published figures, ms (untested on hardware)".to_owned(),
            );
            table.extend(tiles::predictions(&tiled));
        }
        table.push(format!("\n{}", full::HEADER));
        table.extend(self.full.iter().map(FullRow::line));
        table.join("\n") + "\n"
    }

    fn tiled_with(&self, isa: Isa) -> Vec<&TileRow> {
        self.tiled.iter().filter(|row| row.isa() == isa).collect()
    }

    /// Returns how many times faster the exact product `full` is than the same product computed in tiles, one tile
    /// after the other. The first measured tile size is used. `None` if the product was not measured in tiles.
    fn full_speedup(&self, full: &FullRow) -> Option<f64> {
        let same = |row: &&TileRow| Some(row.size()) == full.shape.cube_size() && row.isa() == full.isa;
        Some(self.tiled.iter().find(same)?.sequential_seconds() / full.seconds())
    }

    /// Finds the first product whose result differs from the reference. Returns its instruction set and its
    /// description, or `None` if all products are correct.
    fn wrong(&self) -> Option<(Isa, String)> {
        let tiled = self.tiled.iter().find(|row| !row.equal());
        let tiled = tiled.map(|row| (row.isa(), format!("{0} in tiles of {1}", row.size(), row.tile())));
        tiled.or_else(|| self.full.iter().find(|row| !row.equal).map(|row| (row.isa, row.shape.to_string())))
    }
}

/// The shapes that the user chose, or the default shapes.
fn selected_shapes(args: &BenchMatmulArgs) -> Vec<Shape> {
    if args.sizes.is_empty() && args.shapes.is_empty() {
        let default = SIZES.map(|size| [size; 3]).into_iter().chain(SHAPES);
        return default.map(|[m, k, n]| Shape { m, k, n }).collect();
    }
    args.sizes.iter().chain(&args.shapes).copied().collect()
}

/// The instruction sets that the user chose, without duplicates, or the default one if the user chose none. Fails if
/// the machine does not support one of the instruction sets.
fn selected_cpus(choices: &[IsaChoice]) -> Result<Vec<Cpu>, Failure> {
    if choices.is_empty() {
        return Ok(vec![Cpu::from_environment().map_err(|error| Failure::Usage(error.to_string()))?]);
    }
    let mut distinct: Vec<Cpu> = Vec::new();
    for choice in choices {
        let cpus = match choice {
            IsaChoice::All => Cpu::all().collect(),
            IsaChoice::One(isa) => vec![Cpu::with(*isa).map_err(|_| unsupported(*isa))?],
        };
        for cpu in cpus {
            if !distinct.contains(&cpu) {
                distinct.push(cpu);
            }
        }
    }
    Ok(distinct)
}

fn unsupported(isa: Isa) -> Failure {
    let supported: Vec<&str> = Cpu::all().map(|cpu| cpu.isa().name()).collect();
    Failure::Failed(format!("this machine does not support {isa}; it supports {}", supported.join(", ")))
}
