//! A matrix whose columns are divided into blocks. Each block holds all rows of a few columns and is contiguous in
//! memory.

use crate::{Aligned, Number};

/// A matrix `(rows, n)`, stored as blocks of `width` columns. Each block is a contiguous `(rows, width)` matrix.
///
/// Attention stores one head per block, so that the queries, keys and values of a head are contiguous.
#[derive(Clone, Debug, Default)]
pub struct Blocks<T: Number> {
    rows: usize,
    width: usize,
    data: Aligned<T>,
}

impl<T: Number> Blocks<T> {
    /// Gives this matrix the shape `(rows, n)`. Its values are undefined afterwards.
    ///
    /// # Panics
    /// If `width` does not divide `n`.
    pub fn reset(&mut self, rows: usize, n: usize, width: usize) {
        assert!(width > 0 && n.is_multiple_of(width), "{n} columns cannot be divided into blocks of {width}");
        self.data.resize(rows * n);
        (self.rows, self.width) = (rows, width);
    }

    /// Number of rows of each block, and of the whole matrix.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns of each block.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of columns of the whole matrix.
    pub fn n(&self) -> usize {
        self.data.len() / self.rows.max(1)
    }

    /// The values of block number `index`, `(rows, width)`.
    pub fn block(&self, index: usize) -> &[T] {
        let length = self.rows * self.width;
        &self.data[index * length..][..length]
    }

    /// All values, block after block.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }
}
