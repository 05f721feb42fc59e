//! The epilogue of a matrix product. It applies scales, bias, activation and residual to the sums while these are in
//! the core's cache.

#![allow(clippy::inline_always, reason = "helpers must be compiled for the instruction set of each caller")]

use super::contract::BLOCK_ROWS;
use super::{Blocks, QuantisedRows};
use crate::cpu::multiversion;
use crate::disjoint::Disjoint;
use crate::lines::PANEL;
use crate::vector::{from_bf16, gelu_of, to_bf16};

/// The activation function, applied after the bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// No activation: the identity function.
    #[default]
    None,
    /// The exact GELU, `x * (1 + erf(x / sqrt 2)) / 2`.
    Gelu,
}

/// Bias and activation of a layer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// The bias `(n)`, which is added to every row.
    pub bias: Option<&'a [f32]>,
    /// The activation function, applied after the bias.
    pub activation: Activation,
}

/// Where the result of a product is written.
#[derive(Debug)]
pub enum Output<'a> {
    /// A matrix `(m, n)`, which is overwritten by the result.
    Write(&'a mut [f32]),
    /// A matrix `(m, n)`, to which the result is added, as in a residual connection.
    Add(&'a mut [f32]),
    /// A matrix that is replaced by the result `(m, n)`. The result is quantised to int8, as the input of the next
    /// int8 product.
    Quantise(&'a mut QuantisedRows),
    /// A matrix `(m, n)` in blocks of columns, which is overwritten by the result.
    Blocks(&'a mut Blocks<f32>),
    /// A matrix `(m, n)` in blocks of columns, which is overwritten by the result as the bits of bf16 numbers.
    BlocksBf16(&'a mut Blocks<u16>),
}

/// The sums of a few rows and a few panels (of 16 columns). The epilogue is applied to one group at a time.
pub(super) struct Group<'a, S> {
    /// The sums of the group, `(rows, panels * 16)`.
    pub(super) sums: &'a [S],
    pub(super) rows: usize,
    /// The column of the whole matrix at which the group starts.
    pub(super) column: usize,
}

/// The factors that the sums of an int8 product are multiplied with: one for each row of the group, and one for each
/// column of the whole matrix, padded to a multiple of 16. If `columns` is `None`, the column factors are 1.
#[derive(Clone, Copy)]
pub(super) struct Scales<'a> {
    pub(super) rows: &'a [f32],
    pub(super) columns: Option<&'a [f32]>,
}

impl Scales<'_> {
    /// Factors of 1, for the sums of an f32 product, which need no scale.
    pub(super) const NONE: Self = Self { rows: &[1.0; BLOCK_ROWS], columns: None };
}

/// The matrix that the result is written to. Several threads write different rectangles of it.
pub(super) struct Target<'a, T> {
    pub(super) out: &'a Disjoint<'a, T>,
    /// The row of the matrix at which a group starts.
    pub(super) row: usize,
    /// Number of rows and columns of the matrix. The final panel of 16 columns may extend past the final column.
    pub(super) shape: (usize, usize),
    /// Number of columns of a block. If the matrix is not stored in blocks, the number of all columns.
    pub(super) block: usize,
    /// Distance in elements from the start of one row of a block to the start of the next.
    pub(super) stride: usize,
    /// Whether to add to the existing values instead of overwriting them.
    pub(super) add: bool,
}

impl<T> Target<'_, T> {
    /// Index in `out` of the element in column `column` of row `self.row`.
    #[inline(always)]
    fn index_of(&self, column: usize) -> usize {
        let (rows, _) = self.shape;
        (column / self.block * rows + self.row) * self.stride + column % self.block
    }
}

multiversion! {
    /// Applies scales, bias and activation to the sums of an int8 product and writes the result to `target`.
    ///
    /// Groups that several threads write at the same time must not have elements of the target in common.
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
    /// As [`finish_int8`], for a target of bf16 numbers, which are stored as bits.
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
    /// As [`finish_int8`], for the sums of an f32 product.
    pub(super) fn finish_f32(group: &Group<'_, f32>, epilogue: &Epilogue<'_>, target: &Target<'_, f32>) {
        finish(group, Scales::NONE, epilogue, target);
    }
}

/// The number type of a sum: i32 or f32.
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

/// The element type of a target: f32, or `u16` for the bits of a bf16 number.
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
    // Branch on activation and residual once, here, so that the inner loops are free of branches.
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
            // SAFETY: groups that are written at the same time have no element of the target in common, by the contract
            // of `finish_int8`, and within this group each row of each panel is written once.
            let columns = unsafe { target.out.columns::<PANEL>(target.index_of(column), target.stride, group.rows) };
            for ((row, out), scale) in columns.enumerate().zip(scales.rows) {
                let values = row_of::<S, GELU>(&sums[row * panels + panel], *scale, &column_scales, &bias);
                for lane in 0..PANEL {
                    out[lane] = T::of(if ADD { out[lane].value() + values[lane] } else { values[lane] });
                }
            }
        } else {
            // The matrix or one of its blocks ends inside this panel of 16 columns, so write element by element.
            for (row, scale) in scales.rows.iter().enumerate().take(group.rows) {
                let values = row_of::<S, GELU>(&sums[row * panels + panel], *scale, &column_scales, &bias);
                for (column, value) in (column..n).zip(values) {
                    // SAFETY: groups that are written at the same time have no element of the target in common, as
                    // above. Each element is borrowed only for the next statement.
                    let out = unsafe { target.out.slice(target.index_of(column) + row * target.stride, 1) };
                    out[0] = T::of(if ADD { out[0].value() + value } else { value });
                }
            }
        }
    }
}

/// Computes `activation(sums * scale * scales + bias)` for one row of a panel.
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

/// The first 16 values of a slice, padded with zeros if it is shorter.
#[inline(always)]
fn lanes(values: &[f32]) -> [f32; PANEL] {
    if let Some(lanes) = values.first_chunk() {
        return *lanes;
    }
    let mut lanes = [0.0; PANEL];
    lanes[..values.len()].copy_from_slice(values);
    lanes
}
