//! A matrix cut into blocks of columns.

use crate::{Aligned, Number};

/// A matrix `(rows, n)` in blocks of `width` columns, each of them a matrix `(rows, width)` by itself: so the queries,
/// keys and values of every head of attention lie together.
#[derive(Clone, Debug, Default)]
pub struct Blocks<T: Number> {
    rows: usize,
    width: usize,
    data: Aligned<T>,
}

impl<T: Number> Blocks<T> {
    /// Makes this a matrix of the given shape; what it holds is left undefined.
    ///
    /// # Panics
    /// If `width` does not divide `n`.
    pub fn reset(&mut self, rows: usize, n: usize, width: usize) {
        assert!(width > 0 && n.is_multiple_of(width), "{n} columns are no blocks of {width}");
        self.data.resize(rows * n);
        (self.rows, self.width) = (rows, width);
    }

    /// Rows of each block.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of each block.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All columns.
    pub fn n(&self) -> usize {
        self.data.len() / self.rows.max(1)
    }

    /// One block, `(rows, width)`.
    pub fn block(&self, index: usize) -> &[T] {
        let length = self.rows * self.width;
        &self.data[index * length..][..length]
    }

    /// The blocks one after the other.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }
}
