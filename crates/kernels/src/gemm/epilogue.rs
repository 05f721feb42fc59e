//! What happens to sums before they leave the core's cache.

#![allow(clippy::inline_always, reason = "what is inlined must be compiled into each version of its caller")]

use super::{BLOCK_ROWS, Blocks, PANEL, QuantisedRows};
use crate::cpu::multiversion;
use crate::pool::Disjoint;
use crate::vector::{from_bf16, gelu_of, to_bf16};

/// The function applied after the bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// The exact GELU, `x * (1 + erf(x / sqrt 2)) / 2`.
    Gelu,
}

/// Bias and activation of a layer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// `(n)`, added to each row.
    pub bias: Option<&'a [f32]>,
    /// Applied after the bias.
    pub activation: Activation,
}

/// Where the result goes.
#[derive(Debug)]
pub enum Output<'a> {
    /// `(m, n)`, overwritten.
    Write(&'a mut [f32]),
    /// `(m, n)`, added to: the residual connection.
    Add(&'a mut [f32]),
    /// Becomes an `(m, n)` matrix for the next int8 product.
    Quantise(&'a mut QuantisedRows),
    /// `(m, n)`, overwritten.
    Blocks(&'a mut Blocks<f32>),
    /// `(m, n)`, overwritten by the bits of bf16 numbers.
    BlocksBf16(&'a mut Blocks<u16>),
}

/// The sums of a few rows and panels.
pub(super) struct Group<'a, S> {
    /// `(rows, panels * 16)`.
    pub(super) sums: &'a [S],
    pub(super) rows: usize,
    /// The first column.
    pub(super) column: usize,
}

/// What sums are multiplied with: a scale a row of the group, and one a column of the whole matrix, padded to whole
/// panels.
#[derive(Clone, Copy)]
pub(super) struct Scales<'a> {
    pub(super) rows: &'a [f32],
    pub(super) columns: Option<&'a [f32]>,
}

impl Scales<'_> {
    /// For sums that are values already.
    pub(super) const NONE: Self = Self { rows: &[1.0; BLOCK_ROWS], columns: None };
}

/// A matrix, or some rows of one, whose rectangles are filled from several threads.
pub(super) struct Target<'a, T> {
    pub(super) out: &'a Disjoint<'a, T>,
    /// The first row that is meant.
    pub(super) row: usize,
    /// Rows and columns that there are; panels may end behind the last column.
    pub(super) shape: (usize, usize),
    /// Columns of a block, of which the matrix is made; all of them, where it is not.
    pub(super) block: usize,
    /// Elements from one row of a block to the next.
    pub(super) stride: usize,
    /// Whether to add to what is there.
    pub(super) add: bool,
}

impl<T> Target<'_, T> {
    /// Where a column begins in the first row that is meant.
    #[inline(always)]
    fn place(&self, column: usize) -> usize {
        let (rows, _) = self.shape;
        (column / self.block * rows + self.row) * self.stride + column % self.block
    }
}

multiversion! {
    /// Scales, bias and activation of int8 sums, and off to their target.
    ///
    /// Of a target, no two groups at work at once may have elements in common.
    pub(super) fn finish_int8(
        group: &Group<'_, i32>,
        scales: Scales<'_>,
        epilogue: &Epilogue<'_>,
        target: &Target<'_, f32>,
    ) {
        finish(group, scales, epilogue, target);
    }
}

multiversion! {
    /// The same for a target in bf16.
    pub(super) fn finish_to_bf16(
        group: &Group<'_, i32>,
        scales: Scales<'_>,
        epilogue: &Epilogue<'_>,
        target: &Target<'_, u16>,
    ) {
        finish(group, scales, epilogue, target);
    }
}

multiversion! {
    /// The same for sums of an f32 product.
    pub(super) fn finish_f32(group: &Group<'_, f32>, epilogue: &Epilogue<'_>, target: &Target<'_, f32>) {
        finish(group, Scales::NONE, epilogue, target);
    }
}

trait Sum: Copy {
    fn value(self) -> f32;
}

impl Sum for i32 {
    #[inline(always)]
    fn value(self) -> f32 {
        self as f32
    }
}

impl Sum for f32 {
    #[inline(always)]
    fn value(self) -> f32 {
        self
    }
}

/// What a target is made of.
trait Element: Copy {
    fn of(value: f32) -> Self;
    fn value(self) -> f32;
}

impl Element for f32 {
    #[inline(always)]
    fn of(value: f32) -> Self {
        value
    }

    #[inline(always)]
    fn value(self) -> f32 {
        self
    }
}

impl Element for u16 {
    #[inline(always)]
    fn of(value: f32) -> Self {
        to_bf16(value)
    }

    #[inline(always)]
    fn value(self) -> f32 {
        from_bf16(self)
    }
}

#[inline(always)]
fn finish<S: Sum, T: Element>(
    group: &Group<'_, S>,
    scales: Scales<'_>,
    epilogue: &Epilogue<'_>,
    target: &Target<'_, T>,
) {
    // The choice is made here, once, so that the loops over rows have none.
    match (epilogue.activation, target.add) {
        (Activation::None, false) => finish_as::<S, T, false, false>(group, scales, epilogue, target),
        (Activation::None, true) => finish_as::<S, T, false, true>(group, scales, epilogue, target),
        (Activation::Gelu, false) => finish_as::<S, T, true, false>(group, scales, epilogue, target),
        (Activation::Gelu, true) => finish_as::<S, T, true, true>(group, scales, epilogue, target),
    }
}

#[inline(always)]
fn finish_as<S: Sum, T: Element, const GELU: bool, const ADD: bool>(
    group: &Group<'_, S>,
    scales: Scales<'_>,
    epilogue: &Epilogue<'_>,
    target: &Target<'_, T>,
) {
    let (sums, _) = group.sums.as_chunks::<PANEL>();
    let panels = sums.len() / group.rows;
    let (_, n) = target.shape;
    for panel in 0..panels {
        let column = group.column + panel * PANEL;
        let column_scales = scales.columns.map_or([1.0; PANEL], |scales| lanes(&scales[column..]));
        let bias = epilogue.bias.map_or([0.0; PANEL], |bias| lanes(&bias[column..]));
        if column + PANEL <= n && column % target.block + PANEL <= target.block {
            // SAFETY: groups at work at once have no element of the target in common, by the contract of the callers.
            let columns = unsafe { target.out.columns::<PANEL>(target.place(column), target.stride, group.rows) };
            for ((row, out), scale) in columns.enumerate().zip(scales.rows) {
                let values = row_of::<S, GELU>(&sums[row * panels + panel], *scale, &column_scales, &bias);
                for lane in 0..PANEL {
                    out[lane] = T::of(if ADD { out[lane].value() + values[lane] } else { values[lane] });
                }
            }
        } else {
            // The matrix, or a block of it, ends within the panel.
            for (row, scale) in scales.rows.iter().enumerate().take(group.rows) {
                let values = row_of::<S, GELU>(&sums[row * panels + panel], *scale, &column_scales, &bias);
                for (column, value) in (column..n).zip(values) {
                    // SAFETY: as above.
                    let out = unsafe { target.out.slice(target.place(column) + row * target.stride, 1) };
                    out[0] = T::of(if ADD { out[0].value() + value } else { value });
                }
            }
        }
    }
}

#[inline(always)]
fn row_of<S: Sum, const GELU: bool>(
    sums: &[S; PANEL],
    scale: f32,
    scales: &[f32; PANEL],
    bias: &[f32; PANEL],
) -> [f32; PANEL] {
    let mut values = [0.0_f32; PANEL];
    for lane in 0..PANEL {
        let value = (sums[lane].value() * scale).mul_add(scales[lane], bias[lane]);
        values[lane] = if GELU { gelu_of(value) } else { value };
    }
    values
}

/// The first values of a slice, and zeros where it has no more.
#[inline(always)]
fn lanes(values: &[f32]) -> [f32; PANEL] {
    if let Some(lanes) = values.first_chunk() {
        return *lanes;
    }
    let mut lanes = [0.0; PANEL];
    lanes[..values.len()].copy_from_slice(values);
    lanes
}
