//! Cuts a product into blocks, runs them on the pool and applies the epilogue to each while it is in cache.

use super::epilogue::{add, dequantise};
use super::{Epilogue, Kernel, Output, BLOCK_ROWS, PANEL, PackedF32, PackedI8, QuantisedRows, RowsF32, kernel};
use crate::pool::{Disjoint, scratch_of};
use crate::quantise::quantise_row;
use crate::{Context, Scratch};

/// The most elements of a block: 256 KiB in f32, a part of any L2.
const BLOCK_ELEMENTS: usize = 64 * 1024;
/// Panels whose int8 sums are turned into f32 at a time.
const SUM_PANELS: usize = 16;

/// `out = epilogue(a x b^T)` in int8: exact i32 sums, then scales, then the epilogue.
///
/// # Panics
/// If the shapes of `a`, `b`, the bias and the output do not agree.
pub fn gemm_int8(context: &Context, a: &QuantisedRows, b: &PackedI8, epilogue: &Epilogue<'_>, output: Output<'_>) {
    assert_eq!(a.k(), b.k(), "rows and weights of different depth");
    let product = Int8 { context, kernel: kernel(context.cpu), a, b };
    drive(context, &product, (a.rows(), b.n()), epilogue, output);
}

/// `out = epilogue(a x b^T)` in f32.
///
/// # Panics
/// If the shapes of `a`, `b`, the bias and the output do not agree.
pub fn gemm_f32(context: &Context, a: RowsF32<'_>, b: &PackedF32, epilogue: &Epilogue<'_>, output: Output<'_>) {
    assert_eq!(a.k, b.k(), "rows and weights of different depth");
    let product = F32 { kernel: kernel(context.cpu), a, b };
    drive(context, &product, (a.rows, b.n()), epilogue, output);
}

/// A rectangle of the result: `rows` rows from `row` on, `panels` panels from `panel` on.
#[derive(Clone, Copy)]
struct Part {
    row: usize,
    rows: usize,
    panel: usize,
    panels: usize,
}

trait Product: Sync {
    /// Fills `block`, of shape `(part.rows, part.panels * 16)`.
    fn compute(&self, part: Part, sums: &mut Vec<i32>, block: &mut [f32]);
}

struct Int8<'a> {
    context: &'a Context,
    kernel: &'static dyn Kernel,
    a: &'a QuantisedRows,
    b: &'a PackedI8,
}

impl Product for Int8<'_> {
    fn compute(&self, part: Part, sums: &mut Vec<i32>, block: &mut [f32]) {
        let a = self.a.slice(part.row, part.rows);
        for first in (0..part.panels).step_by(SUM_PANELS) {
            let panels = SUM_PANELS.min(part.panels - first);
            let sums = scratch_of(sums, part.rows * panels * PANEL);
            self.kernel.int8(a, self.b.panels(part.panel + first, panels), sums);
            let scales = &self.b.scales()[(part.panel + first) * PANEL..];
            for (row, sums) in sums.chunks_exact(panels * PANEL).enumerate() {
                let values = &mut block[(row * part.panels + first) * PANEL..][..panels * PANEL];
                dequantise(self.context.cpu, sums, self.a.scales()[part.row + row], scales, values);
            }
        }
    }
}

struct F32<'a> {
    kernel: &'static dyn Kernel,
    a: RowsF32<'a>,
    b: &'a PackedF32,
}

impl Product for F32<'_> {
    fn compute(&self, part: Part, _sums: &mut Vec<i32>, block: &mut [f32]) {
        self.kernel.f32(self.a.slice(part.row, part.rows), self.b.panels(part.panel, part.panels), block);
    }
}

fn drive(
    context: &Context,
    product: &dyn Product,
    (m, n): (usize, usize),
    epilogue: &Epilogue<'_>,
    output: Output<'_>,
) {
    let all_panels = n.div_ceil(PANEL);
    match output {
        Output::Write(out) => {
            assert_eq!(out.len(), m * n, "output of another shape");
            let out = Disjoint::new(out);
            split(context, product, (m, n), epilogue, panels_a_task(context, m, all_panels), &|row, column, values| {
                // SAFETY: parts do not overlap, so no element is in two of these rows.
                unsafe { out.slice(row * n + column, values.len()) }.copy_from_slice(values);
            });
        }
        Output::Add(out) => {
            assert_eq!(out.len(), m * n, "output of another shape");
            let out = Disjoint::new(out);
            split(context, product, (m, n), epilogue, panels_a_task(context, m, all_panels), &|row, column, values| {
                // SAFETY: as above.
                add(context.cpu, values, unsafe { out.slice(row * n + column, values.len()) });
            });
        }
        // The scale of a row wants the whole row: one task must hold it, or it takes two passes.
        Output::Quantise(out) if m.div_ceil(BLOCK_ROWS) >= context.pool.threads() => {
            out.reset(m, n);
            let (data, stride, scales) = out.parts();
            let (data, scales) = (Disjoint::new(data), Disjoint::new(scales));
            split(context, product, (m, n), epilogue, all_panels, &|row, _, values| {
                // SAFETY: as above, and a row belongs to one part.
                let (quantised, scale) = unsafe { (data.slice(row * stride, n), scales.slice(row, 1)) };
                scale[0] = quantise_row(context.cpu, values, quantised);
            });
        }
        Output::Quantise(out) => {
            let mut values = vec![0.0; m * n];
            drive(context, product, (m, n), epilogue, Output::Write(&mut values));
            out.assign(context, RowsF32::new(&values, n));
        }
    }
}

/// Few rows: every thread takes a share of the panels. Many rows: the rows are shared out, and a task takes as many
/// panels as its block may hold.
fn panels_a_task(context: &Context, m: usize, panels: usize) -> usize {
    let share =
        if m.div_ceil(BLOCK_ROWS) >= context.pool.threads() { panels } else { panels.div_ceil(context.pool.threads()) };
    share.clamp(1, BLOCK_ELEMENTS / BLOCK_ROWS / PANEL)
}

/// Runs all parts; `store(row, first column, values)` takes each finished row of a part.
fn split(
    context: &Context,
    product: &dyn Product,
    (m, n): (usize, usize),
    epilogue: &Epilogue<'_>,
    task_panels: usize,
    store: &(dyn Fn(usize, usize, &[f32]) + Sync),
) {
    let panels = n.div_ceil(PANEL);
    let task_rows = (BLOCK_ELEMENTS / (task_panels.max(1) * PANEL)).clamp(1, BLOCK_ROWS);
    let across = panels.div_ceil(task_panels.max(1));
    context.pool.run(m.div_ceil(task_rows) * across, &|task, scratch| {
        let (row, panel) = (task / across * task_rows, task % across * task_panels);
        let part = Part { row, rows: task_rows.min(m - row), panel, panels: task_panels.min(panels - panel) };
        let Scratch { sums, block, .. } = scratch;
        let block = scratch_of(block, part.rows * part.panels * PANEL);
        product.compute(part, sums, block);
        let column = panel * PANEL;
        let width = (part.panels * PANEL).min(n - column);
        for (index, values) in block.chunks_exact_mut(part.panels * PANEL).enumerate() {
            let values = &mut values[..width];
            epilogue.finish(context.cpu, column, values);
            store(row + index, column, values);
        }
    });
}
