//! Copies tiles from matrices to buffers and back.

use amanuensis_kernels::tile::TileSize;

/// A row-major int8 matrix.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub data: &'a [i8],
    pub rows: usize,
    pub columns: usize,
}

impl Matrix<'_> {
    /// Copies one tile of the matrix to `tile`. `row` and `column` count tiles, not elements. Elements outside of the
    /// matrix become zero.
    pub fn tile(&self, size: TileSize, (row, column): (usize, usize), tile: &mut [i8]) {
        match size {
            TileSize::T16 => self.copy::<16>((row, column), tile),
            TileSize::T32 => self.copy::<32>((row, column), tile),
            TileSize::T64 => self.copy::<64>((row, column), tile),
        }
    }

    /// Copies a tile of `T` x `T` elements. Because the length is known at compile time, copying a row of the tile
    /// takes one or two instructions.
    fn copy<const T: usize>(&self, (row, column): (usize, usize), tile: &mut [i8]) {
        let (row, column) = (row * T, column * T);
        let (rows, columns) = (T.min(self.rows - row), T.min(self.columns - column));
        let (lines, _) = tile.as_chunks_mut::<T>();
        for (index, line) in lines[..rows].iter_mut().enumerate() {
            let source = &self.data[(row + index) * self.columns + column..][..columns];
            if let Ok(source) = <&[i8; T]>::try_from(source) {
                *line = *source;
            } else {
                line[..columns].copy_from_slice(source);
                line[columns..].fill(0);
            }
        }
        lines[rows..].as_flattened_mut().fill(0);
    }
}

/// Copies a tile to its position in a matrix of `shape` (rows, columns), without the elements that lie outside of the
/// matrix. `row` and `column` count tiles, not elements.
pub(super) fn put(tile: &[i8], size: TileSize, (row, column): (usize, usize), shape: (usize, usize), out: &mut [i8]) {
    let side = size.side();
    let (row, column) = (row * side, column * side);
    let columns = side.min(shape.1 - column);
    for (index, line) in tile.chunks_exact(side).take(shape.0 - row).enumerate() {
        out[(row + index) * shape.1 + column..][..columns].copy_from_slice(&line[..columns]);
    }
}
