//! Measures products that are split into tiles, as an NPU computes them (the "tile-exact contract" of
//! docs/matmul.md). The CPU takes the place of the NPU and runs the kernel for every tile.

use amanuensis_kernels::tile::{SHIFT, TileSize, full_reference, tile_exact_reference};
use amanuensis_kernels::{Cpu, Isa};
use amanuensis_xdna::TileNpu;
use amanuensis_xdna::cost::{Predicted, predict};
use amanuensis_xdna::launch::Counters;
use amanuensis_xdna::matmul::{CpuDevice, CpuDeviceError, MatmulError, Mode, TileDevice, TileMatmul};
use amanuensis_xdna::target::Target;
use serde_json::{Value, json};

use super::data::byte;
use crate::bench::timing::fastest_repeated;
use crate::failure::Failure;

/// The measurements of one product of square matrices, with one tile size and one instruction set.
pub struct TileRow {
    size: usize,
    tile: TileSize,
    isa: Isa,
    sequential: ModeResult,
    batched: ModeResult,
    shift_error: ShiftError,
}

/// The measurements of a product in one mode: sequential (waits for each kernel run) or batched (queues many kernel
/// runs).
struct ModeResult {
    seconds: f64,
    /// The duration of the product in seconds when there is no queue: the calling thread runs the kernel for each
    /// tile itself.
    direct_seconds: f64,
    equal: bool,
    counters: Counters,
}

/// How much the product in tiles, even if it is correct, differs from the exact product, clamp((A x B) >> 7). The
/// cause is that every kernel run rounds and clamps its sums. The difference depends on the data and the tile size.
#[derive(Clone, Copy)]
struct ShiftError {
    /// The mean of the absolute differences.
    mae: f64,
    /// The share of results that differ from the exact ones by at most 1, as a number from 0 to 1.
    within_1: f64,
}

impl TileRow {
    pub fn size(&self) -> usize {
        self.size
    }

    pub fn tile(&self) -> TileSize {
        self.tile
    }

    pub fn isa(&self) -> Isa {
        self.isa
    }

    pub fn sequential_seconds(&self) -> f64 {
        self.sequential.seconds
    }

    /// Whether the results of the sequential and the batched mode both equal the reference.
    pub fn equal(&self) -> bool {
        self.sequential.equal && self.batched.equal
    }

    pub fn json(&self) -> [Value; 2] {
        [(Mode::Sequential, &self.sequential), (Mode::Batched, &self.batched)].map(|(mode, result)| {
            json!({
                "size": self.size, "tile": self.tile.side(), "contract": "tile-exact", "mode": mode.to_string(),
                "shape": [self.size, self.size, self.size], "isa": self.isa.name(),
                "ms": result.seconds * 1e3, "gops": self.giga_operations() / result.seconds,
                "equal": result.equal, "speedup": self.sequential.seconds / result.seconds,
                "direct_ms": result.direct_seconds * 1e3,
                "direct_speedup": self.sequential.direct_seconds / result.direct_seconds,
                "mae": self.shift_error.mae, "within_1": self.shift_error.within_1,
                "syncs": result.counters.syncs, "submissions": result.counters.submissions,
                "launches": result.counters.launches,
                "predicted_npu1_ms": milliseconds(self.predicted(Target::Npu1, result)),
                "predicted_npu4_ms": milliseconds(self.predicted(Target::Npu4, result)),
            })
        })
    }

    /// The number of additions and multiplications in the product, in 10^9.
    fn giga_operations(&self) -> f64 {
        2.0 * (self.size as f64).powi(3) / 1e9
    }

    /// Predicts how long an NPU of the type `target` would take for the kernel runs that were measured in `result`.
    fn predicted(&self, target: Target, result: &ModeResult) -> Predicted {
        let design = TileNpu::design_for_fake(target, self.tile);
        // A submission to an NPU can hold only one chain of kernel runs. A chain is shorter than a batch of the CPU
        // device, so an NPU may need more submissions than were counted here.
        let chains = result.counters.launches.div_ceil(design.chain_length() as u64);
        predict(&design, &Counters { submissions: result.counters.submissions.max(chains), ..result.counters })
    }

    fn predicted_line(&self) -> String {
        let results = [&self.sequential, &self.batched];
        let columns = Target::ALL.map(|target| {
            let [sequential, batched] = results.map(|result| {
                let [low, high] = milliseconds(self.predicted(target, result));
                format!("{low:>9.3} -{high:>10.3}")
            });
            format!("{sequential}   {batched}")
        });
        format!("{:<5}{:<5}{}", self.size, self.tile.side(), columns.join("     "))
    }

    fn line(&self) -> String {
        let (sequential, batched) = (&self.sequential, &self.batched);
        format!(
            "{:<5}{:<5}{} {} {:>8.1} x {:>9.4} {:>9.4} {:>6.1} x  {:<6}{:>5.2} {:>8.1} %",
            self.size,
            self.tile.side(),
            self.speed(sequential.seconds),
            self.speed(batched.seconds),
            sequential.seconds / batched.seconds,
            sequential.direct_seconds * 1e3,
            batched.direct_seconds * 1e3,
            sequential.direct_seconds / batched.direct_seconds,
            yes_or_no(self.equal()),
            self.shift_error.mae,
            100.0 * self.shift_error.within_1,
        )
    }

    /// Formats a table row for the same product computed exactly, without tiles (the "full contract"). `seconds` is
    /// its duration, and `equal` says whether its result is correct.
    fn full_line(&self, (seconds, equal): (f64, bool)) -> String {
        let speedup = self.sequential.seconds / seconds;
        let equal = yes_or_no(equal);
        format!("{:<5}{:<5}{:19} {} {speedup:>8.1} x {:29}{equal}", self.size, "full", "", self.speed(seconds), "")
    }

    fn speed(&self, seconds: f64) -> String {
        format!("{:>10.4} {:>8.2}", seconds * 1e3, self.giga_operations() / seconds)
    }
}

/// Returns the lower and the upper bound of a predicted duration, in milliseconds.
fn milliseconds(predicted: Predicted) -> [f64; 2] {
    [predicted.low * 1e3, predicted.high * 1e3]
}

fn yes_or_no(equal: bool) -> &'static str {
    if equal { "yes" } else { "NO" }
}

/// Formats the table of one instruction set, with a header. The rows are grouped by matrix size. After each group
/// follows one row for the same product computed exactly, without tiles. `full(size)` returns the duration of that
/// exact product in seconds, and whether its result is correct.
pub fn table(rows: &[&TileRow], full: impl Fn(usize) -> Option<(f64, bool)>) -> Vec<String> {
    let mut lines = vec![
        "               sequential              batched                     direct, ms                       one shift".to_owned(),
        "size tile        ms    GOP/s         ms    GOP/s speed-up sequential  batched speed-up  equal   MAE   within 1".to_owned(),
    ];
    for cube in rows.chunk_by(|a, b| a.size == b.size) {
        lines.extend(cube.iter().map(|row| row.line()));
        // The speed-up of the exact product is relative to the product in tiles of the first tile size.
        lines.extend(full(cube[0].size).map(|full| cube[0].full_line(full)));
    }
    lines
}

/// Formats a table with the durations that are predicted for an NPU, for the same products. Returns its lines.
pub fn predictions(rows: &[&TileRow]) -> Vec<String> {
    let modes = format!("{:>20}   {:>20}", "sequential", "batched");
    let mut lines = vec![
        format!("          {:<48}{}", "npu1", "npu4").trim_end().to_owned(),
        format!("size tile {modes}     {modes}"),
    ];
    lines.extend(rows.iter().map(|row| row.predicted_line()));
    lines
}

/// Never fails in this build. In a build without NPU support, this function returns an error, because products in
/// tiles cannot be computed.
#[expect(clippy::unnecessary_wraps, reason = "the same signature as in a build without NPU support")]
pub fn check_supported() -> Result<(), Failure> {
    Ok(())
}

/// Measures one product of square matrices with each tile size on each instruction set.
pub fn measure(size: usize, tiles: &[TileSize], cpus: &[Cpu]) -> Result<Vec<TileRow>, Failure> {
    // All values are in -64..=63. With larger values, most results would be clamped to the int8 limits, -128 and 127.
    let values = |first: usize| -> Vec<i8> { (first..first + size * size).map(|index| byte(index) >> 1).collect() };
    let cube = Cube { size, a: values(0), b: values(size * size) };
    let shifted: Vec<i32> = full_reference(&cube.a, &cube.b, [size; 3])
        .into_iter()
        .map(|sum| (sum >> SHIFT).clamp(i8::MIN.into(), i8::MAX.into()))
        .collect();
    let mut rows = Vec::new();
    for tile in tiles {
        let expected = tile_exact_reference(&cube.a, &cube.b, [size; 3], *tile);
        let shift_error = ShiftError::of(&expected, &shifted);
        for cpu in cpus {
            let run = |mode| cube.run(mode, *tile, *cpu, &expected).map_err(|error| failure(&error));
            let (sequential, batched) = (run(Mode::Sequential)?, run(Mode::Batched)?);
            rows.push(TileRow { size, tile: *tile, isa: cpu.isa(), sequential, batched, shift_error });
        }
    }
    Ok(rows)
}

fn failure(error: &MatmulError<CpuDeviceError>) -> Failure {
    Failure::Failed(format!("cannot multiply in tiles: {error}"))
}

impl ShiftError {
    fn of(correct: &[i8], shifted: &[i32]) -> Self {
        let differences =
            || correct.iter().zip(shifted).map(|(correct, shifted)| (i32::from(*correct) - shifted).unsigned_abs());
        let count = correct.len() as f64;
        Self {
            mae: differences().map(f64::from).sum::<f64>() / count,
            within_1: differences().filter(|difference| *difference <= 1).count() as f64 / count,
        }
    }
}

struct Cube {
    size: usize,
    a: Vec<i8>,
    b: Vec<i8>,
}

impl Cube {
    /// Measures one mode twice: first with kernel runs that are submitted to a queue, then without the queue.
    fn run(
        &self,
        mode: Mode,
        tile: TileSize,
        cpu: Cpu,
        expected: &[i8],
    ) -> Result<ModeResult, MatmulError<CpuDeviceError>> {
        let (seconds, equal, counters) = self.run_on(CpuDevice::new(cpu, tile)?, mode, cpu, expected)?;
        let (direct_seconds, direct_equal, _) =
            self.run_on(CpuDevice::on_calling_thread(cpu, tile), mode, cpu, expected)?;
        Ok(ModeResult { seconds, direct_seconds, equal: equal && direct_equal, counters })
    }

    /// Measures one product on `device`. Returns the duration in seconds, whether the result is correct, and the
    /// device's counters (such as kernel runs) for one product.
    fn run_on(
        &self,
        device: CpuDevice,
        mode: Mode,
        cpu: Cpu,
        expected: &[i8],
    ) -> Result<(f64, bool, Counters), MatmulError<CpuDeviceError>> {
        let mut products = TileMatmul::new(device, cpu);
        let equal = products.multiply(mode, &self.a, &self.b, [self.size; 3])? == expected;
        let counters = products.device().counters();
        let mut failed = None;
        let seconds = fastest_repeated(&mut || match products.multiply(mode, &self.a, &self.b, [self.size; 3]) {
            Ok(product) => drop(std::hint::black_box(product)),
            Err(error) => failed = Some(error),
        });
        failed.map_or(Ok((seconds, equal, counters)), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_modes_are_measured_and_a_wrong_result_is_found() {
        let cpu = Cpu::detect();
        let row = measure(20, &[TileSize::T16], &[cpu]).unwrap().remove(0);
        assert!(row.equal() && row.sequential.counters.syncs == 16 && row.batched.counters.syncs == 2);
        let cube = Cube { size: 16, a: vec![1; 256], b: vec![1; 256] };
        let mut expected = tile_exact_reference(&cube.a, &cube.b, [16; 3], TileSize::T16);
        assert!(cube.run(Mode::Batched, TileSize::T16, cpu, &expected).unwrap().equal);
        expected[255] += 1;
        assert!(!cube.run(Mode::Sequential, TileSize::T16, cpu, &expected).unwrap().equal);
    }

    #[test]
    fn the_shift_error_is_the_mean_difference_and_the_share_within_1() {
        let ShiftError { mae, within_1 } = ShiftError::of(&[0, 5, -3, 127], &[0, 6, 3, 126]);
        assert!((mae - 2.0).abs() < 1e-12 && (within_1 - 0.75).abs() < 1e-12);
    }
}
