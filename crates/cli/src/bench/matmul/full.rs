//! Measures products in the "full contract" of docs/matmul.md: exact i32 sums, which are also scaled to f32 or
//! quantised to int8.

use std::hint::black_box;

use amanuensis_kernels::gemm::{Epilogue, Output, PackedI8, QuantisedRows, RowsF32, gemm_int8};
use amanuensis_kernels::{Aligned, Context, Cpu, Isa};
use serde_json::{Value, json};

use super::blocks::{Blocks, Reference};
use super::data::byte;
use super::shape::Shape;
use crate::bench::timing::fastest_repeated;

/// The header of the table whose rows [`FullRow::line`] formats.
pub const HEADER: &str =
    "full contract                             bare                 to f32              quantised          equal";

/// The measurements of one product (of one shape, with one instruction set).
pub struct FullRow {
    pub shape: Shape,
    pub isa: Isa,
    pub equal: bool,
    peak_tops: f64,
    bare_gops: f64,
    f32_gops: f64,
    quantise_gops: f64,
    rows_compared: usize,
}

impl FullRow {
    /// The duration of computing the product with f32 results, in seconds.
    pub fn seconds(&self) -> f64 {
        self.shape.operations() / self.f32_gops / 1e9
    }

    /// Returns the row as JSON. `speedup` says how many times faster this product is than the same product computed
    /// in tiles. `speedup` is `None` if the product in tiles was not measured.
    pub fn json(&self, speedup: Option<f64>) -> Value {
        json!({
            "size": self.shape.cube_size(), "tile": null, "contract": "full", "mode": "kernel",
            "ms": self.seconds() * 1e3, "gops": self.f32_gops, "speedup": speedup,
            "shape": [self.shape.m, self.shape.k, self.shape.n], "isa": self.isa.name(), "roofline_tops": self.peak_tops,
            "bare_gops": self.bare_gops, "bare_share": self.share(self.bare_gops),
            "f32_gops": self.f32_gops, "f32_share": self.share(self.f32_gops),
            "quantise_gops": self.quantise_gops, "quantise_share": self.share(self.quantise_gops),
            "equal": self.equal, "rows_compared": self.rows_compared,
        })
    }

    pub fn line(&self) -> String {
        let speed = |gops: f64| format!("{gops:>9.1} GOP/s {:>3.0} %", 100.0 * self.share(gops));
        let equal = match (self.equal, self.rows_compared == self.shape.m) {
            (false, _) => "NO".to_owned(),
            (true, true) => "yes, all rows".to_owned(),
            (true, false) => format!("yes, {} rows of {}", self.rows_compared, self.shape.m),
        };
        let [bare, f32, quantise] = [self.bare_gops, self.f32_gops, self.quantise_gops].map(speed);
        format!("{:<18}{:<13}{bare}  {f32}  {quantise}  {equal}", self.shape, self.isa.name())
    }

    /// Divides the speed `gops` (in 10^9 operations per second) by the machine's speed limit for int8 instructions on
    /// registers. The result is a share from 0 to 1.
    fn share(&self, gops: f64) -> f64 {
        gops / 1e3 / self.peak_tops
    }
}

/// Measures products of one shape, once with each instruction set. `peaks` holds the instruction sets and their speed
/// limits, in 10^12 operations per second.
pub fn measure(shape: Shape, peaks: &[(Cpu, f64)], context: &mut Context) -> Vec<FullRow> {
    let Shape { m, k, n } = shape;
    let mut a = QuantisedRows::default();
    {
        // The first value of every row is 127, the largest magnitude. So the quantisation scale is 1, and
        // quantisation does not change the values.
        let value = |index: usize| if index.is_multiple_of(k) { 127.0 } else { f32::from(byte(index)) };
        let values: Vec<f32> = (0..m * k).map(value).collect();
        a.assign(context, RowsF32::new(&values, k));
    }
    let b = PackedI8::from_int8(context, n, k, &|channel, out| {
        out.iter_mut().enumerate().for_each(|(index, out)| *out = byte(m * k + channel * k + index));
        1e-4
    });
    let bias: Vec<f32> = (0..n).map(|column| f32::from(byte(column)) / 127.0).collect();
    let epilogue = Epilogue { bias: Some(&bias), ..Epilogue::default() };
    let reference = Reference::of(shape, &a, &b, &context.pool);
    let (mut out, mut quantised) = (Aligned::default(), QuantisedRows::default());
    out.resize(m * n);
    let blocks = Blocks::new(&context.pool);

    // `black_box` keeps the compiler from removing the computation of the sums.
    let discard = |_: usize, _: usize, sums: &[i32]| {
        black_box(sums);
    };
    let row = |(cpu, peak_tops): &(Cpu, f64)| {
        context.cpu = *cpu;
        let context = &*context;
        let gops = |work: &mut dyn FnMut()| shape.operations() / fastest_repeated(work) / 1e9;
        FullRow {
            shape,
            isa: cpu.isa(),
            peak_tops: *peak_tops,
            equal: reference.equals(|each| blocks.multiply(context, &a, &b, each)),
            rows_compared: reference.rows_compared(),
            bare_gops: gops(&mut || blocks.multiply(context, &a, &b, &discard)),
            f32_gops: gops(&mut || gemm_int8(context, &a, &b, &epilogue, Output::Write(&mut out))),
            quantise_gops: gops(&mut || gemm_int8(context, &a, &b, &epilogue, Output::Quantise(&mut quantised))),
        }
    };
    peaks.iter().map(row).collect()
}
