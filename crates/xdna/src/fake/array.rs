//! Multiplies matrices in the same way as the NPU's array of cores. The result of a launch (one run of the NPU's
//! kernel) is split into tiles. Each core holds one tile of `A`, `B` and `C` in its memory. A tile is stored in
//! blocks, and the core adds the product of two blocks at a time.
//!
//! A core multiplies two blocks in one instruction: 4x8 by 8x8 on aie2, 8x8 by 8x8 on aie2p. In a core's memory, the
//! blocks of a tile are stored in row-major order, and so are the elements of each block.

use std::thread;

use crate::design::{Layout, Output, Program, Shape, local_bytes};
use crate::target::LOCAL_MEMORY;

/// Number of columns of a block of any matrix, and also number of rows of a block of `B`. It is the same on both
/// generations.
const SIDE: usize = 8;

/// Computes the result `C` of a launch (one run of the NPU's kernel). Returns it as the bytes that the device writes,
/// row-major. `None` if a tile does not fit into a core's memory or does not consist of whole blocks.
pub(super) fn multiply(program: &Program, a: &[i8], b: &[i8]) -> Option<Vec<u8>> {
    let Program { target, launch, tile, output, .. } = *program;
    let [rows, _, _] = target.block();
    let whole = [(launch.m, tile.m, rows), (launch.k, tile.k, SIDE), (launch.n, tile.n, SIDE)];
    let is_whole = |(launch, tile, block): (usize, usize, usize)| {
        tile > 0 && launch > 0 && launch.is_multiple_of(tile) && tile.is_multiple_of(block)
    };
    if !whole.into_iter().all(is_whole) || local_bytes(tile, output) > LOCAL_MEMORY {
        return None;
    }
    let mut c = vec![0; launch.m * launch.n * output.bytes()];
    let band = tile.m * launch.n * output.bytes();
    let bands: Vec<(usize, &mut [u8])> = c.chunks_exact_mut(band).enumerate().collect();
    // Cores work independently, so threads can compute the bands (rows of tiles) in parallel.
    let threads = thread::available_parallelism().map_or(1, Into::into).min(bands.len());
    let mut shares: Vec<Vec<(usize, &mut [u8])>> = (0..threads).map(|_| Vec::new()).collect();
    for (index, band) in bands {
        shares[index % threads].push((index, band));
    }
    thread::scope(|scope| {
        for share in shares {
            scope.spawn(move || {
                let mut core = Core::new(tile, rows);
                for (index, band) in share {
                    core.multiply_band(program, a, b, index, band);
                }
            });
        }
    });
    Some(c)
}

/// A core and its memory.
struct Core {
    tile: Shape,
    /// Number of rows of a block of `A` and `C`.
    rows: usize,
    a: Vec<i8>,
    b: Vec<i8>,
    c: Vec<i32>,
}

impl Core {
    fn new(tile: Shape, rows: usize) -> Self {
        let Shape { m, k, n } = tile;
        Self { tile, rows, a: vec![0; m * k], b: vec![0; k * n], c: vec![0; m * n] }
    }

    /// Computes the tiles of `C` in one band (one row of tiles). `index` is the number of the band from the top.
    fn multiply_band(&mut self, program: &Program, a: &[i8], b: &[i8], index: usize, out: &mut [u8]) {
        let Shape { m, k, n } = self.tile;
        let launch = program.launch;
        for column in (0..launch.n).step_by(n) {
            self.c.fill(0);
            for depth in (0..launch.k).step_by(k) {
                let a_at = |row: usize, at: usize| a[(index * m + row) * launch.k + depth + at];
                fill(&mut self.a, [m, k], [self.rows, SIDE], a_at);
                let b_at = |at: usize, to: usize| match program.b {
                    Layout::RowMajor => b[(depth + at) * launch.n + column + to],
                    Layout::ColumnMajor => b[(column + to) * launch.k + depth + at],
                };
                fill(&mut self.b, [k, n], [SIDE, SIDE], b_at);
                if self.rows == 4 { self.multiply_tile::<4>() } else { self.multiply_tile::<8>() }
            }
            self.drain(program, column, out);
        }
    }

    /// Multiplies the tiles of `A` and `B` in the core's memory and adds the product to the tile of `C`. Blocks of
    /// `A` and `C` have `R` rows.
    fn multiply_tile<const R: usize>(&mut self) {
        let (depths, columns) = (self.tile.k / SIDE, self.tile.n / SIDE);
        let (a, _) = self.a.as_chunks::<SIDE>();
        let (b, _) = self.b.as_chunks::<SIDE>();
        let (c, _) = self.c.as_chunks_mut::<SIDE>();
        for (row, c) in c.chunks_exact_mut(R * columns).enumerate() {
            let a = &a[row * depths * R..][..depths * R];
            for (column, sums) in c.as_chunks_mut::<R>().0.iter_mut().enumerate() {
                for (depth, a) in a.as_chunks::<R>().0.iter().enumerate() {
                    let b = &b[(depth * columns + column) * SIDE..];
                    if let Some(b) = b.first_chunk() {
                        multiply_block(a, b, sums);
                    }
                }
            }
        }
    }

    /// Writes the tile of `C` from the core's memory to its position in the result of the launch.
    fn drain(&self, program: &Program, column: usize, out: &mut [u8]) {
        let Shape { m, n, .. } = self.tile;
        for row in 0..m {
            for at in 0..n {
                let block = (row / self.rows * (n / SIDE) + at / SIDE) * self.rows * SIDE;
                let sum = self.c[block + row % self.rows * SIDE + at % SIDE];
                let index = row * program.launch.n + column + at;
                match program.output {
                    Output::Int32 => out[index * 4..][..4].copy_from_slice(&sum.to_le_bytes()),
                    Output::Int8 => out[index] = (sum >> 7).clamp(-128, 127) as u8,
                }
            }
        }
    }
}

/// One instruction of a core: `sums += a x b`.
fn multiply_block<const R: usize>(a: &[[i8; SIDE]; R], b: &[[i8; SIDE]; SIDE], sums: &mut [[i32; SIDE]; R]) {
    for (a, sums) in a.iter().zip(sums) {
        for (a, b) in a.iter().zip(b) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += i32::from(i16::from(*a) * i16::from(*b));
            }
        }
    }
}

/// Copies a tile of `(rows, columns)` elements from a matrix to a core's memory, block by block.
fn fill(
    tile: &mut [i8],
    [_, columns]: [usize; 2],
    [block_rows, block_columns]: [usize; 2],
    at: impl Fn(usize, usize) -> i8,
) {
    let across = columns / block_columns;
    for (block, values) in tile.chunks_exact_mut(block_rows * block_columns).enumerate() {
        let (first_row, first_column) = (block / across * block_rows, block % across * block_columns);
        for (index, value) in values.iter_mut().enumerate() {
            *value = at(first_row + index / block_columns, first_column + index % block_columns);
        }
    }
}

#[cfg(test)]
mod tests {
    use amanuensis_kernels::tile::{TileSize, full_reference, tile_exact_reference};

    use super::*;
    use crate::target::Target;

    fn noise(length: usize, mut seed: u32) -> Vec<i8> {
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as i8
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn exact_sums_equal_the_reference() {
        let (launch, tile) = (Shape::new(48, 32, 40), Shape::new(16, 16, 8));
        let (a, b) = (noise(launch.m * launch.k, 1), noise(launch.k * launch.n, 2));
        let expected = full_reference(&a, &b, [launch.m, launch.k, launch.n]);
        let transposed: Vec<i8> = (0..b.len()).map(|at| b[at % launch.k * launch.n + at / launch.k]).collect();
        for target in Target::ALL {
            for (b, layout) in [(&b, Layout::RowMajor), (&transposed, Layout::ColumnMajor)] {
                let program = Program { target, launch, tile, b: layout, output: Output::Int32 };
                let c = multiply(&program, &a, b).unwrap();
                let c: Vec<i32> = c.as_chunks::<4>().0.iter().map(|sum| i32::from_le_bytes(*sum)).collect();
                assert_eq!(c, expected, "{target}, {layout:?}");
            }
        }
    }

    #[test]
    fn a_tile_equals_the_tile_exact_reference() {
        for size in TileSize::ALL {
            let side = size.side();
            let (a, b) = (noise(side * side, 3), noise(side * side, 4));
            let expected = tile_exact_reference(&a, &b, [side; 3], size);
            let shape = Shape::new(side, side, side);
            for target in Target::ALL {
                let program = Program { target, launch: shape, tile: shape, b: Layout::RowMajor, output: Output::Int8 };
                let c: Vec<i8> = multiply(&program, &a, &b).unwrap().iter().map(|byte| *byte as i8).collect();
                assert_eq!(c, expected, "{target}, {size}");
            }
        }
    }

    #[test]
    fn a_tile_too_large_for_a_core_is_not_computed() {
        let program = |launch: Shape, tile: Shape, target: Target| Program {
            target,
            launch,
            tile,
            b: Layout::RowMajor,
            output: Output::Int32,
        };
        let side = Shape::new(128, 128, 128);
        assert_eq!(multiply(&program(side, side, Target::Npu1), &[0; 128 * 128], &[0; 128 * 128]), None);
        let twelve = Shape::new(12, 8, 8);
        assert!(multiply(&program(twelve, twelve, Target::Npu1), &[0; 96], &[0; 64]).is_some());
        assert_eq!(multiply(&program(twelve, twelve, Target::Npu4), &[0; 96], &[0; 64]), None);
    }
}
