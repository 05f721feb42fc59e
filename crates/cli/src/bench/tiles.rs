//! Products made of launches of a tile kernel, one at a time and in waves, on the processor as a device.

use amanuensis_kernels::tile::{SHIFT, TileSize, full_reference, tile_exact_reference};
use amanuensis_kernels::{Cpu, Isa};
use amanuensis_xdna::TileNpu;
use amanuensis_xdna::cost::{Predicted, predict};
use amanuensis_xdna::launch::Counters;
use amanuensis_xdna::matmul::{CpuDevice, CpuDeviceError, MatmulError, Mode, TileDevice, TileMatmul};
use amanuensis_xdna::target::Target;
use serde_json::{Value, json};

use super::matmul::{byte, quickest};
use crate::failure::Failure;

/// Larger cubes are left out: one launch at a time, they take minutes.
pub const LARGEST: usize = 1024;

/// One cube, in tiles of one size, on one instruction set.
pub struct TileRow {
    pub size: usize,
    pub tile: TileSize,
    pub isa: Isa,
    sequential: Run,
    batched: Run,
    information: Information,
}

/// What a mode takes.
struct Run {
    seconds: f64,
    /// The same where launches run on the calling thread.
    direct_seconds: f64,
    equal: bool,
    counters: Counters,
}

/// How far a right result is from the product shifted once: a property of data and tile size.
#[derive(Clone, Copy)]
struct Information {
    mae: f64,
    within_1: f64,
}

impl TileRow {
    /// Operations of the cube in 10^9.
    fn giga_operations(&self) -> f64 {
        2.0 * (self.size as f64).powi(3) / 1e9
    }

    pub fn sequential_seconds(&self) -> f64 {
        self.sequential.seconds
    }

    pub fn equal(&self) -> bool {
        self.sequential.equal && self.batched.equal
    }

    pub fn json(&self) -> [Value; 2] {
        [(Mode::Sequential, &self.sequential), (Mode::Batched, &self.batched)].map(|(mode, run)| {
            json!({
                "size": self.size, "tile": self.tile.side(), "contract": "tile-exact", "mode": mode.to_string(),
                "shape": [self.size, self.size, self.size], "isa": self.isa.name(),
                "ms": run.seconds * 1e3, "gops": self.giga_operations() / run.seconds,
                "equal": run.equal, "speedup": self.sequential.seconds / run.seconds,
                "direct_ms": run.direct_seconds * 1e3,
                "direct_speedup": self.sequential.direct_seconds / run.direct_seconds,
                "mae": self.information.mae, "within_1": self.information.within_1,
                "syncs": run.counters.syncs, "submissions": run.counters.submissions, "launches": run.counters.launches,
                "predicted_npu1_ms": milliseconds(self.predicted(Target::Npu1, run)),
                "predicted_npu4_ms": milliseconds(self.predicted(Target::Npu4, run)),
            })
        })
    }

    /// What an NPU with a tile kernel would take for the launches of a run.
    fn predicted(&self, target: Target, run: &Run) -> Predicted {
        let design = TileNpu::design_for_fake(target, self.tile);
        // A chain holds fewer launches than a wave.
        let chains = run.counters.launches.div_ceil(design.chain_length() as u64);
        predict(&design, &Counters { submissions: run.counters.submissions.max(chains), ..run.counters })
    }

    fn predicted_line(&self) -> String {
        let runs = [&self.sequential, &self.batched];
        let columns = Target::ALL.map(|target| {
            let [sequential, batched] = runs.map(|run| {
                let [low, high] = milliseconds(self.predicted(target, run));
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
            yes(self.equal()),
            self.information.mae,
            100.0 * self.information.within_1,
        )
    }

    /// The same cube by the full contract, in `seconds`.
    fn full_line(&self, (seconds, equal): (f64, bool)) -> String {
        let times = self.sequential.seconds / seconds;
        format!("{:<5}{:<5}{:19} {} {times:>8.1} x {:29}{}", self.size, "full", "", self.speed(seconds), "", yes(equal))
    }

    fn speed(&self, seconds: f64) -> String {
        format!("{:>10.4} {:>8.2}", seconds * 1e3, self.giga_operations() / seconds)
    }
}

/// At least and at most.
fn milliseconds(predicted: Predicted) -> [f64; 2] {
    [predicted.low * 1e3, predicted.high * 1e3]
}

fn yes(equal: bool) -> &'static str {
    if equal { "yes" } else { "NO" }
}

/// The rows of one instruction set, below headings. Each cube ends with its product by the full contract, for which `full`
/// gives the seconds and whether it is right.
pub fn table(rows: &[&TileRow], full: impl Fn(usize) -> Option<(f64, bool)>) -> Vec<String> {
    let mut lines = vec![
        "               sequential              batched             hand-over left out, ms           from one shift".to_owned(),
        "size tile        ms    GOP/s         ms    GOP/s speed-up sequential  batched speed-up  equal   MAE   within 1".to_owned(),
    ];
    for cube in rows.chunk_by(|a, b| a.size == b.size) {
        lines.extend(cube.iter().map(|row| row.line()));
        // The factor is to the first of the tile sizes.
        lines.extend(full(cube[0].size).map(|full| cube[0].full_line(full)));
    }
    lines
}

/// What the same launches are predicted to take on an NPU, below headings.
pub fn predictions(rows: &[&TileRow]) -> Vec<String> {
    let modes = format!("{:>20}   {:>20}", "sequential", "batched");
    let mut lines = vec![
        format!("          {:<48}{}", "npu1", "npu4").trim_end().to_owned(),
        format!("size tile {modes}     {modes}"),
    ];
    lines.extend(rows.iter().map(|row| row.predicted_line()));
    lines
}

/// A cube of `size` in tiles of all sizes asked for, on all instruction sets asked for.
pub fn measure(size: usize, tiles: &[TileSize], cpus: &[Cpu]) -> Result<Vec<TileRow>, Failure> {
    // Values of -64..=63: of larger ones, most results are -128 or 127.
    let values = |first: usize| -> Vec<i8> { (first..first + size * size).map(|index| byte(index) >> 1).collect() };
    let cube = Cube { size, a: values(0), b: values(size * size) };
    let shifted: Vec<i32> = full_reference(&cube.a, &cube.b, [size; 3])
        .into_iter()
        .map(|sum| (sum >> SHIFT).clamp(i8::MIN.into(), i8::MAX.into()))
        .collect();
    let mut rows = Vec::new();
    for tile in tiles {
        let expected = tile_exact_reference(&cube.a, &cube.b, [size; 3], *tile);
        let information = Information::of(&expected, &shifted);
        for cpu in cpus {
            let run = |mode| cube.run(mode, *tile, *cpu, &expected).map_err(|error| failure(&error));
            let (sequential, batched) = (run(Mode::Sequential)?, run(Mode::Batched)?);
            rows.push(TileRow { size, tile: *tile, isa: cpu.isa(), sequential, batched, information });
        }
    }
    Ok(rows)
}

fn failure(error: &MatmulError<CpuDeviceError>) -> Failure {
    Failure::Failed(format!("cannot multiply in tiles: {error}"))
}

impl Information {
    fn of(found: &[i8], shifted: &[i32]) -> Self {
        let distances =
            || found.iter().zip(shifted).map(|(found, shifted)| (i32::from(*found) - shifted).unsigned_abs());
        let count = found.len() as f64;
        Self {
            mae: distances().map(f64::from).sum::<f64>() / count,
            within_1: distances().filter(|distance| *distance <= 1).count() as f64 / count,
        }
    }
}

struct Cube {
    size: usize,
    a: Vec<i8>,
    b: Vec<i8>,
}

impl Cube {
    fn run(&self, mode: Mode, tile: TileSize, cpu: Cpu, expected: &[i8]) -> Result<Run, MatmulError<CpuDeviceError>> {
        let (seconds, equal, counters) = self.on(CpuDevice::new(cpu, tile)?, mode, cpu, expected)?;
        let (direct_seconds, direct_equal, _) =
            self.on(CpuDevice::on_calling_thread(cpu, tile), mode, cpu, expected)?;
        Ok(Run { seconds, direct_seconds, equal: equal && direct_equal, counters })
    }

    /// Seconds of a product, whether it is right, and what the device was asked to do for one.
    fn on(
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
        let seconds = quickest(&mut || match products.multiply(mode, &self.a, &self.b, [self.size; 3]) {
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
    fn a_row_has_both_modes_and_a_wrong_result_is_seen() {
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
    fn distances_are_counted() {
        let Information { mae, within_1 } = Information::of(&[0, 5, -3, 127], &[0, 6, 3, 126]);
        assert!((mae - 2.0).abs() < 1e-12 && (within_1 - 0.75).abs() < 1e-12);
    }
}
