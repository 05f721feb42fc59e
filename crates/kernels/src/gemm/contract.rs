//! The contract of a kernel: what the inner loops of a matrix product compute, on every instruction set.

use super::{PanelsF32, RowsBf16, RowsF32, RowsI8, RowsU8, bf16};
use crate::lines::{LineBf16, LineI8, PANEL};
use crate::scratch::scratch_of;
use crate::{Aligned, Isa};

/// Maximum number of rows of activations in a block. A kernel multiplies one block at a time.
pub(crate) const BLOCK_ROWS: usize = 32;
/// Maximum number of panels (of 16 output channels) in a group. The sums of a block of 32 rows and 16 panels take 32
/// KiB.
pub(super) const GROUP_PANELS: usize = 16;

/// The inner loops of one instruction set.
pub trait Kernel: Sync {
    /// The instruction set that this kernel is written for.
    fn isa(&self) -> Isa;

    /// Computes `sums[r, c] = sum over k of a[r, k] * b[c, k]`, exact in i32, for all rows of `a` and all panels in
    /// `b`.
    ///
    /// `b` holds `panels * a.lines()` lines; `sums` is `(a.rows, panels * 16)`. Values of `a` must lie in -127..=127.
    ///
    /// # Panics
    ///
    /// If the lengths do not agree.
    fn int8(&self, a: RowsI8<'_>, b: &[LineI8], sums: &mut [i32]);

    /// As [`Self::int8`] for unsigned rows: values of `a` lie in 0..=255.
    ///
    /// # Panics
    /// If the lengths do not agree.
    fn uint8(&self, a: RowsU8<'_>, b: &[LineI8], sums: &mut [i32]);

    /// As [`Self::int8`], but passes the sums to `each` in groups of panels, while they are still in the L1 cache.
    ///
    /// `each(panel, sums)` is called once for each group, in ascending order. `panel` is the first panel of the
    /// group, and its sums are `(a.rows, panels of the group * 16)`. The parameter `sums` is scratch memory.
    ///
    /// # Panics
    ///
    /// If the lengths do not agree, or `a` has more than 32 rows.
    fn int8_by_groups(
        &self,
        a: RowsI8<'_>,
        b: &[LineI8],
        sums: &mut Aligned<i32>,
        each: &mut dyn FnMut(usize, &[i32]),
    ) {
        for (index, b) in b.chunks(GROUP_PANELS * a.lines()).enumerate() {
            let sums = scratch_of(sums, b.len() / a.lines() * PANEL * a.rows);
            self.int8(a, b, sums);
            each(index * GROUP_PANELS, sums);
        }
    }

    /// As [`Self::int8`], for bf16 numbers. Products are summed in f32, in the order of `k`. On machines with an
    /// instruction for bf16 products, two consecutive `k` are added at a time, as that instruction does. The default
    /// implementation is plain Rust.
    ///
    /// `b` holds `panels * a.lines()` lines; `out` is `(a.rows, panels * 16)`.
    ///
    /// # Panics
    ///
    /// If the lengths do not agree.
    fn bf16(&self, a: RowsBf16<'_>, b: &[LineBf16], out: &mut [f32]) {
        bf16::multiply(a, b, out);
    }

    /// As [`Self::bf16`], but passes the sums to `each` in groups of panels, as [`Self::int8_by_groups`] does.
    ///
    /// # Panics
    ///
    /// If the lengths do not agree, or `a` has more than 32 rows.
    fn bf16_by_groups(
        &self,
        a: RowsBf16<'_>,
        b: &[LineBf16],
        sums: &mut Aligned<f32>,
        each: &mut dyn FnMut(usize, &[f32]),
    ) {
        for (index, b) in b.chunks(GROUP_PANELS * a.lines()).enumerate() {
            let sums = scratch_of(sums, b.len() / a.lines() * PANEL * a.rows);
            self.bf16(a, b, sums);
            each(index * GROUP_PANELS, sums);
        }
    }

    /// Computes `out[r, c] = sum over k of a[r, k] * b[c, k]` in f32, added in the order of `k`.
    ///
    /// `out` is `(a.rows, b.count * 16)`.
    ///
    /// # Panics
    ///
    /// If the lengths do not agree.
    fn f32(&self, a: RowsF32<'_>, b: PanelsF32<'_>, out: &mut [f32]);
}
