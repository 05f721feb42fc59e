//! Splits a matrix product into blocks, runs them on the thread pool, and applies the epilogue (scale, bias,
//! activation) to each block while it is in the cache.

use super::contract::{BLOCK_ROWS, GROUP_PANELS};
use super::epilogue::{Group, Scales, Target, finish_f32, finish_int8, finish_to_bf16};
use super::{Epilogue, Kernel, Output, PackedF32, PackedI8, QuantisedRows, RowsF32, kernel};
use crate::disjoint::Disjoint;
use crate::lines::PANEL;
use crate::quantise::quantise_row;
use crate::scratch::scratch_of;
use crate::{Aligned, Context, Scratch};

/// Maximum number of elements in a block of the result. They take 256 KiB in f32, which fits into the L2 cache of
/// every supported processor.
const MAX_BLOCK_ELEMENTS: usize = 64 * 1024;

/// Int8 product with epilogue: `output = activation(scales * (a x b^T) + bias)`, with exact i32 sums.
///
/// `a` is `(m, k)`, `b` is `(n, k)`, the bias is `(n)`, the output `(m, n)`.
///
/// # Panics
/// If these shapes do not agree.
pub fn gemm_int8(context: &Context, a: &QuantisedRows, b: &PackedI8, epilogue: &Epilogue<'_>, output: Output<'_>) {
    assert_eq!(a.k(), b.k(), "rows and weights differ in k");
    let product = Int8 { context, kernel: kernel(context.cpu), a, b };
    let (m, n) = (a.rows(), b.n());
    if let Output::BlocksBf16(out) = output {
        assert!(out.rows() == m && out.n() == n, "output does not have the shape (m, n)");
        to_matrix::<u16>(context, &product, (m, n), out.width(), epilogue, out.data_mut(), false);
    } else {
        drive(context, &product, (m, n), epilogue, output);
    }
}

/// F32 product with epilogue: `output = activation(a x b^T + bias)`.
///
/// `a` is `(m, k)`, `b` is `(n, k)`, the bias is `(n)`, the output `(m, n)`.
///
/// # Panics
/// If these shapes do not agree, or the output is [`Output::BlocksBf16`].
pub fn gemm_f32(context: &Context, a: RowsF32<'_>, b: &PackedF32, epilogue: &Epilogue<'_>, output: Output<'_>) {
    assert_eq!(a.k, b.k(), "rows and weights differ in k");
    drive(context, &F32 { context, kernel: kernel(context.cpu), a, b }, (a.rows, b.n()), epilogue, output);
}

/// Applies the epilogue of [`gemm_int8`] to i32 sums that were computed elsewhere, such as on an NPU. The result is
/// bit for bit that of [`gemm_int8`].
///
/// `sums` is `(m, n)`. `rows` holds the scale of each row, `(m)`. `columns` holds the scale of each column, padded to
/// whole panels (multiples of 16) like [`PackedI8::scales`].
///
/// # Panics
///
/// If the shapes of the sums, the scales, the bias and the output do not agree.
pub fn finish_sums(
    context: &Context,
    sums: &[i32],
    rows: &[f32],
    columns: &[f32],
    epilogue: &Epilogue<'_>,
    output: Output<'_>,
) {
    let (m, n) = (rows.len(), sums.len() / rows.len().max(1));
    assert!(
        sums.len() == m * n && columns.len() == n.next_multiple_of(PANEL),
        "the shapes of sums and scales do not agree"
    );
    let product = Computed { context, sums, n, rows, columns };
    if let Output::BlocksBf16(out) = output {
        assert!(out.rows() == m && out.n() == n, "output does not have the shape (m, n)");
        to_matrix::<u16>(context, &product, (m, n), out.width(), epilogue, out.data_mut(), false);
    } else {
        drive(context, &product, (m, n), epilogue, output);
    }
}

/// A rectangle of the result: `rows` rows starting at row `row`, and `panels` panels (of 16 columns) starting at
/// panel `panel`.
#[derive(Clone, Copy)]
struct Part {
    row: usize,
    rows: usize,
    panel: usize,
    panels: usize,
}

/// A matrix product whose result has elements of type `T`.
trait Product<T>: Sync {
    /// Computes one part of the result, applies the epilogue to each group of panels, and writes the result to
    /// `target`. `sums` is scratch memory.
    fn run(&self, part: Part, epilogue: &Epilogue<'_>, target: &Target<'_, T>, sums: &mut Sums<'_>);
}

/// Scratch memory for the sums of a product, in i32 or f32.
struct Sums<'a> {
    int8: &'a mut Aligned<i32>,
    f32: &'a mut Aligned<f32>,
}

struct Int8<'a> {
    context: &'a Context,
    kernel: &'static dyn Kernel,
    a: &'a QuantisedRows,
    b: &'a PackedI8,
}

impl Int8<'_> {
    fn run(&self, part: Part, sums: &mut Sums<'_>, finish: &mut dyn FnMut(&Group<'_, i32>, Scales<'_>)) {
        let rows = self.a.slice(part.row, part.rows);
        let scales = Scales { rows: &self.a.scales()[part.row..][..part.rows], columns: Some(self.b.scales()) };
        self.kernel.int8_by_groups(rows, self.b.panels(part.panel, part.panels), sums.int8, &mut |panel, sums| {
            finish(&Group { sums, rows: part.rows, column: (part.panel + panel) * PANEL }, scales);
        });
    }
}

impl Product<f32> for Int8<'_> {
    fn run(&self, part: Part, epilogue: &Epilogue<'_>, target: &Target<'_, f32>, sums: &mut Sums<'_>) {
        self.run(part, sums, &mut |group, scales| finish_int8(self.context.cpu, group, scales, epilogue, target));
    }
}

impl Product<u16> for Int8<'_> {
    fn run(&self, part: Part, epilogue: &Epilogue<'_>, target: &Target<'_, u16>, sums: &mut Sums<'_>) {
        self.run(part, sums, &mut |group, scales| finish_to_bf16(self.context.cpu, group, scales, epilogue, target));
    }
}

/// A matrix product whose i32 sums were computed elsewhere, such as on an NPU.
struct Computed<'a> {
    context: &'a Context,
    /// The sums, `(m, n)`.
    sums: &'a [i32],
    n: usize,
    rows: &'a [f32],
    columns: &'a [f32],
}

impl Computed<'_> {
    fn run(&self, part: Part, sums: &mut Sums<'_>, finish: &mut dyn FnMut(&Group<'_, i32>, Scales<'_>)) {
        let scales = Scales { rows: &self.rows[part.row..][..part.rows], columns: Some(self.columns) };
        for panel in (part.panel..part.panel + part.panels).step_by(GROUP_PANELS) {
            let panels = GROUP_PANELS.min(part.panel + part.panels - panel);
            let (column, width) = (panel * PANEL, panels * PANEL);
            let sums = scratch_of(sums.int8, part.rows * width);
            for (row, group) in sums.chunks_exact_mut(width).enumerate() {
                let row = &self.sums[(part.row + row) * self.n..][..self.n];
                let (whole, rest) = group.split_at_mut(width.min(self.n - column));
                whole.copy_from_slice(&row[column..][..whole.len()]);
                rest.fill(0);
            }
            finish(&Group { sums, rows: part.rows, column }, scales);
        }
    }
}

impl Product<f32> for Computed<'_> {
    fn run(&self, part: Part, epilogue: &Epilogue<'_>, target: &Target<'_, f32>, sums: &mut Sums<'_>) {
        self.run(part, sums, &mut |group, scales| finish_int8(self.context.cpu, group, scales, epilogue, target));
    }
}

impl Product<u16> for Computed<'_> {
    fn run(&self, part: Part, epilogue: &Epilogue<'_>, target: &Target<'_, u16>, sums: &mut Sums<'_>) {
        self.run(part, sums, &mut |group, scales| finish_to_bf16(self.context.cpu, group, scales, epilogue, target));
    }
}

struct F32<'a> {
    context: &'a Context,
    kernel: &'static dyn Kernel,
    a: RowsF32<'a>,
    b: &'a PackedF32,
}

impl Product<f32> for F32<'_> {
    fn run(&self, part: Part, epilogue: &Epilogue<'_>, target: &Target<'_, f32>, sums: &mut Sums<'_>) {
        for panel in (part.panel..part.panel + part.panels).step_by(GROUP_PANELS) {
            let panels = GROUP_PANELS.min(part.panel + part.panels - panel);
            let sums = scratch_of(sums.f32, part.rows * panels * PANEL);
            self.kernel.f32(self.a.slice(part.row, part.rows), self.b.panels(panel, panels), sums);
            let group = Group { sums, rows: part.rows, column: panel * PANEL };
            finish_f32(self.context.cpu, &group, epilogue, target);
        }
    }
}

/// Runs a product whose result is f32, or f32 that is quantised afterwards.
fn drive(
    context: &Context,
    product: &dyn Product<f32>,
    (m, n): (usize, usize),
    epilogue: &Epilogue<'_>,
    output: Output<'_>,
) {
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == n), "bias does not have n elements");
    match output {
        Output::Write(out) => to_matrix(context, product, (m, n), n, epilogue, out, false),
        Output::Add(out) => to_matrix(context, product, (m, n), n, epilogue, out, true),
        Output::Blocks(out) => {
            assert!(out.rows() == m && out.n() == n, "output does not have the shape (m, n)");
            to_matrix(context, product, (m, n), out.width(), epilogue, out.data_mut(), false);
        }
        Output::Quantise(out) => {
            out.reset(m, n);
            // The scale that quantises a row depends on the whole row. With enough rows for all threads, each task
            // computes whole rows. Otherwise the product is split by panels, and the rows are quantised afterwards.
            if m.div_ceil(BLOCK_ROWS) >= context.pool.threads() {
                to_quantised(context, product, (m, n), epilogue, out);
            } else {
                let mut values = out.take_values();
                values.resize(m * n);
                to_matrix(context, product, (m, n), n, epilogue, &mut values, false);
                out.assign(context, RowsF32::new(&values, n));
                out.keep_values(values);
            }
        }
        Output::BlocksBf16(_) => panic!("an f32 product cannot be written as bf16"),
    }
}

/// Runs a product and writes its result to `out`: an `(m, n)` matrix, stored in blocks of `block` columns.
fn to_matrix<T: Send>(
    context: &Context,
    product: &dyn Product<T>,
    (m, n): (usize, usize),
    block: usize,
    epilogue: &Epilogue<'_>,
    out: &mut [T],
    add: bool,
) {
    assert_eq!(out.len(), m * n, "output does not have the shape (m, n)");
    let out = Disjoint::new(out);
    // With few rows, every thread computes a share of the panels (columns). With many rows, the rows are divided
    // among the threads.
    let panels = n.div_ceil(PANEL);
    let share = if m.div_ceil(BLOCK_ROWS) >= context.pool.threads() { 1 } else { context.pool.threads() };
    let task_panels = panels.div_ceil(share).clamp(1, MAX_BLOCK_ELEMENTS / BLOCK_ROWS / PANEL);
    split(context, (m, panels), task_panels, &|part, scratch| {
        // The contract of `finish_int8` holds: no two parts of the result overlap, and neither do the groups of
        // panels of a part.
        let target = Target { out: &out, row: part.row, shape: (m, n), block, stride: block, add };
        let Scratch { sums, block, .. } = scratch;
        product.run(part, epilogue, &target, &mut Sums { int8: sums, f32: block });
    });
}

/// Runs a product and quantises its rows; each task computes whole rows.
fn to_quantised(
    context: &Context,
    product: &dyn Product<f32>,
    (m, n): (usize, usize),
    epilogue: &Epilogue<'_>,
    out: &mut QuantisedRows,
) {
    let (data, stride, scales) = out.parts();
    let (data, scales) = (Disjoint::new(data), Disjoint::new(scales));
    let panels = n.div_ceil(PANEL);
    split(context, (m, panels), panels, &|part, scratch| {
        let Scratch { sums, block, block2, .. } = scratch;
        // Round the distance between rows to an odd number of cache lines. With an even number, the rows would
        // compete for a few sets of the cache.
        let line = n.next_multiple_of(PANEL) | PANEL;
        let values = scratch_of(block2, part.rows * line);
        let out = Disjoint::new(values);
        let target = Target { out: &out, row: 0, shape: (part.rows, n), block: n, stride: line, add: false };
        product.run(part, epilogue, &target, &mut Sums { int8: sums, f32: block });
        for (row, values) in values.chunks_exact(line).enumerate() {
            let (row, values) = (part.row + row, &values[..n]);
            // SAFETY: parts hold whole rows here, so each row is written by one task only.
            let (quantised, scale) = unsafe { (data.slice(row * stride, n), scales.slice(row, 1)) };
            scale[0] = quantise_row(context.cpu, values, quantised);
        }
    });
}

/// Splits a product of `m` rows and `panels` panels into parts of at most `task_panels` panels, and calls `run` for
/// each part on the thread pool.
fn split(
    context: &Context,
    (m, panels): (usize, usize),
    task_panels: usize,
    run: &(dyn Fn(Part, &mut Scratch) + Sync),
) {
    let task_panels = task_panels.max(1);
    let task_rows = (MAX_BLOCK_ELEMENTS / (task_panels * PANEL)).clamp(1, BLOCK_ROWS);
    let across = panels.div_ceil(task_panels);
    context.pool.run(m.div_ceil(task_rows) * across, &|task, scratch| {
        let (row, panel) = (task / across * task_rows, task % across * task_panels);
        run(Part { row, rows: task_rows.min(m - row), panel, panels: task_panels.min(panels - panel) }, scratch);
    });
}
