//! The operands of a kernel: borrowed rows of activations, and borrowed f32 panels of weights.

use crate::lines::{K_ALIGNMENT, LineF32, PANEL};

/// A borrowed matrix of rows of bytes or bf16 numbers. Four bytes of a row are multiplied with one 64-byte line of a
/// panel of weights.
#[derive(Clone, Copy, Debug)]
pub struct RowsOf<'a, T> {
    /// The elements, `(rows, stride)`. Each row is padded with zeros to `padded_k` elements.
    pub data: &'a [T],
    /// Elements from the start of one row to the start of the next.
    pub stride: usize,
    /// Number of rows.
    pub rows: usize,
    /// Number of elements of a row that are multiplied, including the padding with zeros. Their size is a multiple of
    /// 64 bytes.
    pub padded_k: usize,
}

/// Signed rows: int8 activations in -127..=127.
pub type RowsI8<'a> = RowsOf<'a, i8>;
/// Unsigned rows: attention weights in 0..=255.
pub type RowsU8<'a> = RowsOf<'a, u8>;
/// Rows of bf16 numbers, as bits.
pub type RowsBf16<'a> = RowsOf<'a, u16>;

impl<T> RowsOf<'_, T> {
    /// Number of 64-byte lines in a panel that has the same `k` as a row, including padding.
    pub fn lines(&self) -> usize {
        self.padded_k * size_of::<T>() / 4
    }

    /// Borrows at most `count` rows, starting at row `first`.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn slice(&self, first: usize, count: usize) -> Self {
        let data = &self.data[(first * self.stride).min(self.data.len())..];
        Self { data, rows: count.min(self.rows - first), ..*self }
    }

    /// Returns the number of panels in `b`, after these checks: rows are padded to a multiple of 64 bytes, `data`
    /// holds all rows, and `b` holds whole panels as deep as a row. Kernels rely on the checks for their memory
    /// safety.
    ///
    /// # Panics
    /// If one of these checks fails.
    pub(super) fn panels_of<L>(&self, b: &[L]) -> usize {
        let bytes = self.padded_k.checked_mul(size_of::<T>()).unwrap_or(0);
        assert!(bytes > 0 && bytes.is_multiple_of(K_ALIGNMENT), "rows are not padded to 64 bytes");
        let panels = b.len() / self.lines();
        assert!(b.len() == panels * self.lines(), "panels are not as deep as rows");
        assert!(fits(self.data, self.rows, self.stride, self.padded_k), "rows exceed their data");
        panels
    }

    /// As [`Self::panels_of`]; also checks that `sums` is `(rows, panels * 16)`.
    ///
    /// # Panics
    /// If one of the checks fails.
    pub(super) fn check<L, S>(&self, b: &[L], sums: &[S]) -> usize {
        let panels = self.panels_of(b);
        assert!(self.rows.checked_mul(panels * PANEL) == Some(sums.len()), "sums do not have the shape of the product");
        panels
    }
}

/// Whether `data` holds `rows` rows of `length` elements that start `stride` elements apart. False if the sizes
/// overflow.
fn fits<T>(data: &[T], rows: usize, stride: usize, length: usize) -> bool {
    let end = rows.checked_sub(1).map(|last| last.checked_mul(stride).and_then(|start| start.checked_add(length)));
    end.is_none_or(|end| end.is_some_and(|end| end <= data.len()))
}

/// A borrowed f32 matrix of rows. Rows may overlap, as the input windows of a convolution do.
#[derive(Clone, Copy, Debug)]
pub struct RowsF32<'a> {
    /// The elements. Row `r` is `data[r * stride..][..k]`.
    pub data: &'a [f32],
    /// Elements from the start of one row to the start of the next.
    pub stride: usize,
    /// Number of rows.
    pub rows: usize,
    /// Number of elements in a row.
    pub k: usize,
}

impl<'a> RowsF32<'a> {
    /// Creates the matrix `(rows, k)` from contiguous rows of `k` elements.
    ///
    /// # Panics
    ///
    /// If `k` is zero or does not divide the length of `data`.
    pub fn new(data: &'a [f32], k: usize) -> Self {
        assert!(k > 0 && data.len().is_multiple_of(k), "{} elements do not make rows of {k}", data.len());
        Self { data, stride: k, rows: data.len() / k, k }
    }

    /// The elements of row `index`, `(k)`.
    pub fn row(&self, index: usize) -> &'a [f32] {
        &self.data[index * self.stride..][..self.k]
    }

    /// Checks that `data` holds all rows, `b` holds all panels, and `out` is `(rows, b.count * 16)`. Kernels rely on
    /// these checks for their memory safety.
    ///
    /// # Panics
    /// If one of these checks fails.
    pub(super) fn check(&self, b: PanelsF32<'_>, out: &[f32]) {
        let width = b.count.checked_mul(PANEL);
        let length = width.and_then(|width| self.rows.checked_mul(width));
        assert!(length == Some(out.len()), "output does not have the shape of the product");
        assert!(fits(self.data, self.rows, self.stride, self.k), "rows exceed their data");
        assert!(fits(b.lines, b.count, b.stride, self.k), "panels exceed their lines");
    }

    /// Borrows `count` rows, starting at row `first`.
    #[must_use]
    pub fn slice(&self, first: usize, count: usize) -> Self {
        Self { data: &self.data[(first * self.stride).min(self.data.len())..], rows: count, ..*self }
    }
}

/// Borrowed f32 panels of weights, 16 output channels each. If the rows have a smaller `k` than the panels, a product
/// uses only the first lines of each panel.
#[derive(Clone, Copy, Debug)]
pub struct PanelsF32<'a> {
    /// The 64-byte lines of all panels. Panel `p` is `lines[p * stride..][..k]`.
    pub lines: &'a [LineF32],
    /// Number of lines from the start of one panel to the start of the next.
    pub stride: usize,
    /// Number of panels.
    pub count: usize,
}
