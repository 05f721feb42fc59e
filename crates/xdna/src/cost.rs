//! *Predicted* run times of an NPU, computed from published measurements. This project has measured nothing on a
//! device.
//!
//! The time of a launch (one run of the NPU's kernel) is its compute time or its memory transfer time, whichever is
//! longer, plus a start cost. The start cost is larger for a single command than for a command in a chain. The transfer
//! time includes repeated reads: if `rows x columns` cores multiply tiles of `(m, k, n)`, `A` is read once for each
//! `n * columns` columns of the result, and `B` once for each `m * rows` rows.
//!
//! Sources:
//! - arXiv 2512.13282 (Taka et al., Striking the Balance: GEMM Performance Optimization Across Generations of Ryzen
//!   AI NPUs): the transfer volume (equations 6 to 8), clocks of 1 and 1.8 GHz, products per cycle of kernels (tables
//!   1 to 3), memory bandwidths of 15 and 50 GB/s (section 5.2.1), 3.4 and 4.9 ms for loading another
//!   design, the program of the NPU (section 5.3.1).
//! - The paper rounds these bandwidths. Two of its products imply higher ones: 16.7 GB/s (XDNA, int8-int16, 96x112x96)
//!   and 60 GB/s (XDNA2, int8-int32, 96x64x96). These are the upper bounds here, and the tests leave the two products
//!   out.
//! - Start cost: the latencies that the driver's own test reports, 121 to 220 us on npu1 and 52 to 200 us on XDNA2.
//!   For queued commands, the same test on Strix Halo reports 78,771 starts per second, 13 us each
//!   (github.com/amd/IRON, issue 55). Nothing is published for npu1; the same value is assumed.

use std::fmt;
use std::ops::{Add, Mul};

use crate::design::{Design, Output, Shape};
use crate::launch::Counters;
use crate::target::Target;

/// A *predicted* time: an interval in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Predicted {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl Predicted {
    /// The mean of the lower and the upper bound.
    pub fn middle(self) -> f64 {
        f64::midpoint(self.low, self.high)
    }
}

impl Add for Predicted {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { low: self.low + other.low, high: self.high + other.high }
    }
}

impl Mul<f64> for Predicted {
    type Output = Self;

    fn mul(self, times: f64) -> Self {
        Self { low: self.low * times, high: self.high * times }
    }
}

impl fmt::Display for Predicted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.high < 1e-2 { 3 } else { 1 };
        write!(f, "predicted {:.digits$}-{:.digits$} ms", self.low * 1e3, self.high * 1e3)
    }
}

/// Published performance of a generation of NPUs.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// Start cost in seconds of a single command, or of the first command of a chain.
    pub dispatch: Predicted,
    /// Start cost in seconds of each further command of a chain.
    pub chained: Predicted,
    /// Lower and upper bound of the bandwidth between the array and main memory, in bytes per second.
    pub bandwidth: (f64, f64),
    /// Clock rate of a core in Hz.
    pub clock: f64,
    /// Seconds for replacing the loaded design (the NPU's program) by another.
    pub reconfiguration: f64,
}

impl Costs {
    /// The published performance of the generation `target`.
    pub fn of(target: Target) -> Self {
        let chained = |dispatch: Predicted| Predicted { low: 13e-6, high: dispatch.low };
        match target {
            Target::Npu1 => {
                let dispatch = Predicted { low: 121e-6, high: 220e-6 };
                let chained = chained(dispatch);
                Self { dispatch, chained, bandwidth: (15e9, 16.7e9), clock: 1.0e9, reconfiguration: 3.4e-3 }
            }
            Target::Npu4 => {
                let dispatch = Predicted { low: 52e-6, high: 200e-6 };
                let chained = chained(dispatch);
                Self { dispatch, chained, bandwidth: (50e9, 60e9), clock: 1.8e9, reconfiguration: 4.9e-3 }
            }
        }
    }
}

/// The lowest and the highest published rate of one core, in multiply-accumulates per cycle. Only those kernels are
/// considered for which compute and transfer take about the same time.
fn products_a_cycle(target: Target, output: Output) -> (f64, f64) {
    match (target, output) {
        (Target::Npu1, Output::Int32) => (133.1, 146.0),
        (Target::Npu1, Output::Int8) => (207.4, 212.5),
        (Target::Npu4, Output::Int32) => (209.9, 256.0),
        (Target::Npu4, Output::Int8) => (322.6, 343.0),
    }
}

/// The predicted time of one launch (one run of the kernel on the array), without its start cost. `rate` holds the
/// lowest and the highest number of multiply-accumulates per cycle of a core.
fn product(target: Target, launch: Shape, tile: Shape, output_bytes: usize, rate: (f64, f64)) -> Predicted {
    let (rows, columns) = (f64::from(target.core_rows()), f64::from(target.columns()));
    let [m, k, n] = [launch.m as f64, launch.k as f64, launch.n as f64];
    // At a time, the array computes `across` columns and `down` rows of the result. `A` is read once for each group
    // of `across` columns, so only once if all columns fit. `B` is read once for each group of `down` rows.
    let across = (tile.n as f64 * columns).min(n);
    let down = (tile.m as f64 * rows).min(m);
    let bytes = m * k * n / across + m * k * n / down + m * n * output_bytes as f64;
    // The number of cores that have work. It is smaller than the number of cores in the array if the launch has few
    // tiles.
    let cores = (m / tile.m as f64).min(rows) * (n / tile.n as f64).min(columns);
    let costs = Costs::of(target);
    let seconds = |rate: f64, bandwidth: f64| (m * k * n / (rate * cores * costs.clock)).max(bytes / bandwidth);
    Predicted { low: seconds(rate.1, costs.bandwidth.1), high: seconds(rate.0, costs.bandwidth.0) }
}

/// The *predicted* time of all launches (runs of the NPU's kernel) and submissions that `counters` has counted, if
/// `design` computes them. The time for loading the design into the NPU is not included.
pub fn predict(design: &Design, counters: &Counters) -> Predicted {
    let costs = Costs::of(design.target);
    let rate = products_a_cycle(design.target, design.output);
    let launch = product(design.target, design.launch, design.tile, design.output.bytes(), rate);
    let chained = counters.launches.saturating_sub(counters.submissions) as f64;
    costs.dispatch * counters.submissions as f64 + costs.chained * chained + launch * counters.launches as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One published measurement: generation, bytes per result element, tile, multiply-accumulates per cycle (of one
    /// core, measured alone), shape of the product, and 10^12 operations per second (TOP/s) of the whole array.
    type Point = (Target, usize, [usize; 3], f64, [usize; 3], f64);

    /// The rows of tables 2 and 3 of arXiv 2512.13282, without the two rows from which the upper bounds of the
    /// bandwidth are computed. Two kernels of section 5.2.1 that are limited by transfer are added, with their rates
    /// from table 1.
    const PUBLISHED: [Point; 12] = [
        (Target::Npu1, 1, [112, 112, 112], 212.5, [4032, 4032, 4032], 6.52),
        (Target::Npu1, 1, [112, 104, 128], 207.4, [4032, 4160, 4096], 6.48),
        (Target::Npu1, 2, [80, 104, 128], 186.9, [4160, 4160, 4096], 5.75),
        (Target::Npu1, 4, [80, 88, 96], 146.0, [4160, 4224, 4224], 4.42),
        (Target::Npu1, 4, [64, 80, 128], 133.1, [4096, 4160, 4096], 4.09),
        (Target::Npu1, 2, [64, 216, 64], 217.6, [4096, 4104, 4096], 4.03),
        (Target::Npu4, 1, [144, 72, 144], 343.0, [4032, 4320, 4608], 37.35),
        (Target::Npu4, 1, [160, 64, 144], 322.6, [4480, 4224, 4608], 36.13),
        (Target::Npu4, 2, [128, 72, 112], 307.2, [4096, 4320, 4480], 30.77),
        (Target::Npu4, 2, [160, 64, 96], 271.4, [4480, 4224, 4608], 29.59),
        (Target::Npu4, 4, [128, 56, 80], 209.9, [4096, 4032, 4480], 21.67),
        (Target::Npu4, 2, [64, 216, 64], 419.8, [4096, 4104, 4096], 17.86),
    ];

    #[test]
    fn published_products_are_predicted_within_15_percent() {
        for (target, bytes, tile, rate, shape, measured) in PUBLISHED {
            let [m, k, n] = shape;
            let launch = Shape::new(m, k, n);
            let tile = Shape::new(tile[0], tile[1], tile[2]);
            let predicted = product(target, launch, tile, bytes, (rate, rate)) + Costs::of(target).dispatch;
            let tops = launch.operations() as f64 / predicted.middle() / 1e12;
            let error = tops / measured - 1.0;
            println!(
                "{target} {m}x{k}x{n}, {bytes}-byte results: {tops:.2} TOP/s predicted, {measured} measured, {:+.1} %",
                100.0 * error
            );
            assert!(error.abs() < 0.15, "{target} {shape:?}: {tops:.2} instead of {measured}");
        }
    }

    /// Products of three sizes with one design on Strix Halo (github.com/amd/IRON, issue 171). The rate of the
    /// design's kernel alone is not published, so it is derived from the largest product (4096 rows, depths and
    /// columns). The two smaller products test the start cost.
    #[test]
    fn smaller_products_lie_in_the_predicted_interval() {
        let rate = 7.8e12;
        let predicted = |m: usize, k: usize, n: usize| {
            let operations = Shape::new(m, k, n).operations() as f64;
            let product = Predicted { low: operations / rate, high: operations / rate };
            let seconds = product + Costs::of(Target::Npu4).dispatch;
            [seconds.high, seconds.low].map(|seconds| operations / seconds / 1e12)
        };
        // The issue reports 3.2 TOP/s for the first size, and 7 to 8.2 TOP/s for the second.
        let [low, high] = predicted(1024, 512, 1024);
        assert!(low < 3.2 && 3.2 < high, "{low:.2} to {high:.2}");
        let [low, high] = predicted(2048, 2048, 2048);
        assert!(7.0 < low && high < 8.2, "{low:.2} to {high:.2}");
    }

    #[test]
    fn chains_are_predicted_to_be_faster_than_single_commands() {
        let design = Design::for_fake_encoder(Target::Npu1);
        let one_by_one = Counters { submissions: 100, launches: 100, ..Counters::default() };
        let chained = Counters { submissions: 3, launches: 100, ..Counters::default() };
        assert!(predict(&design, &chained).middle() < predict(&design, &one_by_one).middle());
        let shown = predict(&design, &chained).to_string();
        assert!(shown.starts_with("predicted ") && shown.ends_with(" ms"), "{shown}");
    }
}
