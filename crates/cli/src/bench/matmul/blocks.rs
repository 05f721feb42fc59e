//! Computes an int8 matrix product, but only its i32 sums, one block at a time. Also checks these sums against those
//! of the slow reference kernel.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use amanuensis_kernels::gemm::{PANEL, PackedI8, QuantisedRows, kernel};
use amanuensis_kernels::{Aligned, Context, Cpu, Isa, Pool};

use super::shape::Shape;

/// Number of rows in a block of sums. The number is so small that the sums of a block fit into the L1 cache.
const BLOCK_ROWS: usize = 32;

/// Maximum number of panels (groups of output channels) in a block when the threads divide the panels among
/// themselves.
const BLOCK_PANELS: usize = 16;

/// A function that is called for each block of sums. Its arguments are the index of the block's first row, the index
/// of its first panel (a group of output channels), and the sums.
type OnBlock<'a> = dyn Fn(usize, usize, &[i32]) + Sync + 'a;

/// Computes a product without storing all sums: each thread has one buffer, which it overwrites with every block of
/// sums.
pub struct Blocks(Vec<Mutex<Aligned<i32>>>);

impl Blocks {
    pub fn new(pool: &Pool) -> Self {
        Self((0..pool.threads()).map(|_| Mutex::default()).collect())
    }

    /// Computes all sums of the product `a` x `b`, and calls `on_block` with each block of them. The threads divide
    /// the rows of the product among themselves. If there are too few rows, they divide the panels (groups of output
    /// channels) instead.
    pub fn multiply(&self, context: &Context, a: &QuantisedRows, b: &PackedI8, on_block: &OnBlock<'_>) {
        let (kernel, threads) = (kernel(context.cpu), context.pool.threads());
        let (m, panels) = (a.rows(), b.n().div_ceil(PANEL));
        let has_few_rows = m.div_ceil(BLOCK_ROWS) < threads;
        let task_panels = if has_few_rows { panels.div_ceil(threads).min(BLOCK_PANELS) } else { panels };
        let tasks_per_row = panels.div_ceil(task_panels);
        let tasks = m.div_ceil(BLOCK_ROWS) * tasks_per_row;
        let next = AtomicUsize::new(0);
        context.pool.run(threads, &|thread, _| {
            let mut sums = self.0[thread].lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                let task = next.fetch_add(1, Ordering::Relaxed);
                if task >= tasks {
                    break;
                }
                let (row, panel) = (task / tasks_per_row * BLOCK_ROWS, task % tasks_per_row * task_panels);
                let (rows, end) = (BLOCK_ROWS.min(m - row), panels.min(panel + task_panels));
                kernel.int8_by_groups(
                    a.slice(row, rows),
                    b.panels(panel, end - panel),
                    &mut sums,
                    &mut |first, sums| {
                        on_block(row, panel + first, sums);
                    },
                );
            }
        });
    }
}

/// The correct sums of some rows of a product, computed by the slow reference kernel. The sums of other kernels are
/// compared with these.
pub struct Reference {
    shape: Shape,
    /// The indices of the compared rows within the product, in ascending order.
    rows: Vec<usize>,
    /// The correct sums of all compared rows, one row after the other. Each row has `padded_n` sums: one per output
    /// channel, including the padding channels.
    sums: Vec<i32>,
}

impl Reference {
    pub fn of(shape: Shape, a: &QuantisedRows, b: &PackedI8, pool: &Pool) -> Self {
        let count = shape.rows_compared();
        // The compared rows are evenly spaced, and include the first and the last row of the product.
        let rows: Vec<usize> = (0..count).map(|index| index * (shape.m - 1) / (count - 1).max(1)).collect();
        let width = shape.padded_n();
        let mut sums = vec![0; count * width];
        let cpu = Cpu::with(Isa::Reference).expect("every machine supports the reference");
        pool.chunks_mut(&mut sums, width, &|index, sums, _| {
            kernel(cpu).int8(a.slice(rows[index], 1), b.panels(0, width / PANEL), sums);
        });
        Self { shape, rows, sums }
    }

    pub fn rows_compared(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether `product` computes the same sums as the reference kernel, in the rows that are compared.
    /// `product` gets a function, which it must call with each block of sums that it computes.
    pub fn equals(&self, product: impl FnOnce(&OnBlock<'_>)) -> bool {
        let (equal_sums, width) = (AtomicUsize::new(0), self.shape.padded_n());
        product(&|row, panel, sums| {
            let rows = BLOCK_ROWS.min(self.shape.m - row);
            let block_width = sums.len() / rows;
            let first = self.rows.partition_point(|at| *at < row);
            for (index, at) in self.rows.iter().enumerate().skip(first).take_while(|(_, at)| **at < row + rows) {
                let found = &sums[(at - row) * block_width..][..block_width];
                if *found == self.sums[index * width + panel * PANEL..][..block_width] {
                    equal_sums.fetch_add(block_width, Ordering::Relaxed);
                }
            }
        });
        equal_sums.into_inner() == self.sums.len()
    }
}

#[cfg(test)]
mod tests {
    use amanuensis_kernels::gemm::RowsF32;

    use super::super::data::byte;
    use super::*;

    /// The tested products have many rows, few rows, blocks with fewer rows than usual, or fewer panels than a whole
    /// block.
    #[test]
    fn blocks_equal_the_reference_and_a_wrong_sum_is_found() {
        for (shape, threads) in [([70, 20, 300], 2), ([3, 64, 700], 2), ([33, 5, 17], 3), ([1, 1, 1], 1)] {
            let [m, k, n] = shape;
            let context = &Context::with(Cpu::detect(), threads);
            let values: Vec<f32> = (0..m * k).map(|index| f32::from(byte(index))).collect();
            let mut a = QuantisedRows::default();
            a.assign(context, RowsF32::new(&values, k));
            let b = PackedI8::from_int8(context, n, k, &|channel, out| {
                out.fill(byte(channel));
                1.0
            });
            let mut reference = Reference::of(Shape { m, k, n }, &a, &b, &context.pool);
            let blocks = Blocks::new(&context.pool);
            assert!(reference.equals(|each| blocks.multiply(context, &a, &b, each)), "{shape:?}");
            assert!(!reference.equals(|_| ()), "{shape:?}");
            *reference.sums.last_mut().unwrap() += 1;
            assert!(!reference.equals(|each| blocks.multiply(context, &a, &b, each)), "{shape:?}");
        }
    }
}
