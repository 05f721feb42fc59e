//! Products by the full contract on an NPU: exact sums over the whole depth. A launch (one run of the NPU's kernel)
//! has a fixed shape, and products of any shape are composed of launches.
//!
//! Weights are split into blocks of the shape that a launch takes. This is done once, and the blocks stay in device
//! memory. Activations are split and padded with zeros for every product. A launch multiplies one block of
//! activations by one block of weights. The host adds the results of blocks at different depths, in i32.

use crate::design::{Design, Layout, Output, Shape};
use crate::driver::{Direction, Driver};
use crate::error::Error;
use crate::launch::{Buffer, Counters, Launch, Location};
use crate::matmul::Mode;
use crate::session::Session;

/// Maximum size in bytes of the results of a wave (a group of launches that are queued before the host waits once).
const WAVE_BYTES: usize = 64 << 20;

/// An NPU with a loaded design that computes exact sums.
#[derive(Debug)]
pub struct Gemm {
    session: Session,
    mode: Mode,
    activations: Grown,
    results: Grown,
}

/// A matrix of weights `(n, k)` in device memory, split into blocks of the shape that one launch (one run of the
/// kernel) takes.
#[derive(Debug)]
pub struct Weights {
    n: usize,
    k: usize,
    buffer: Buffer,
}

/// A buffer and its size in bytes. It is replaced when a larger one is needed.
#[derive(Debug, Default)]
struct Grown(Option<(Buffer, usize)>);

impl Grown {
    fn at_least(&mut self, session: &mut Session, size: usize) -> Result<Buffer, Error> {
        if let Some((buffer, _)) = self.0.filter(|(_, has)| *has >= size) {
            return Ok(buffer);
        }
        if let Some((buffer, _)) = self.0.take() {
            session.free(buffer)?;
        }
        let buffer = session.allocate(size)?;
        self.0 = Some((buffer, size));
        Ok(buffer)
    }
}

impl Gemm {
    /// Loads a design (a compiled program) into the device of `driver`. Returns [`Error::Design`] if the design does
    /// not compute exact sums, or the error of the device.
    pub fn open(driver: Box<dyn Driver>, design: Design, mode: Mode) -> Result<Self, Error> {
        if design.output != Output::Int32 {
            let problem = "its results are int8 tiles, and the encoder needs exact sums (`\"output\": \"int32\"`)";
            return Err(Error::Design { directory: design.directory, problem: problem.to_owned() });
        }
        let session = Session::open(driver, design)?;
        Ok(Self { session, mode, activations: Grown::default(), results: Grown::default() })
    }

    /// Counts of what the device was asked to do since the session was opened.
    pub fn counters(&self) -> Counters {
        self.session.counters()
    }

    /// The session in which the launches run.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Whether launches (runs of the kernel) are submitted one by one or many at a time.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Copies weights `(n, k)` to device memory. `channel(index, out)` must write the `k` weights of output channel
    /// `index` to `out`.
    pub fn prepare(&mut self, (n, k): (usize, usize), channel: &dyn Fn(usize, &mut [i8])) -> Result<Weights, Error> {
        let (launch, layout) = (self.session.design().launch, self.session.design().b);
        let block = launch.k * launch.n;
        let depths = k.div_ceil(launch.k);
        let size = n.div_ceil(launch.n) * depths * block;
        let buffer = self.session.allocate(size)?;
        let bytes: &mut [i8] = bytemuck::cast_slice_mut(self.session.bytes_mut(buffer)?);
        let mut values = vec![0; k];
        for index in 0..n {
            channel(index, &mut values);
            let column = index % launch.n;
            for (depth, values) in values.chunks(launch.k).enumerate() {
                let block = &mut bytes[(index / launch.n * depths + depth) * block..][..block];
                match layout {
                    Layout::ColumnMajor => block[column * launch.k..][..values.len()].copy_from_slice(values),
                    Layout::RowMajor => {
                        let column_values = block[column..].iter_mut().step_by(launch.n);
                        column_values.zip(values).for_each(|(target, value)| *target = *value);
                    }
                }
            }
        }
        self.session.sync(buffer, Direction::ToDevice, 0..size)?;
        Ok(Weights { n, k, buffer })
    }

    /// Computes `sums = a x weights^T`, where `sums` is `(m, n)`, row-major. `row(index)` must return row `index` of
    /// `a`, which has `m` rows of `k` values.
    ///
    /// # Errors
    /// Any error of the device; the contents of `sums` are then undefined.
    ///
    /// # Panics
    /// If the shape of a row or of the sums does not fit the weights.
    pub fn multiply<'a>(
        &mut self,
        m: usize,
        row: &dyn Fn(usize) -> &'a [i8],
        weights: &Weights,
        sums: &mut [i32],
    ) -> Result<(), Error> {
        assert_eq!(sums.len(), m * weights.n, "sums of another shape");
        if sums.is_empty() {
            return Ok(());
        }
        sums.fill(0);
        let grid = Grid::new(self.session.design().launch, m, weights);
        match self.mode {
            Mode::Batched => self.in_waves(&grid, row, weights, sums),
            Mode::Sequential => self.one_by_one(&grid, row, weights, sums),
        }
    }

    /// Multiplies in batched mode. Synchronises all activations once, then queues launches in groups (waves). Waits
    /// once for each wave and synchronises all results of the wave at once.
    fn in_waves<'a>(
        &mut self,
        grid: &Grid,
        row: &dyn Fn(usize) -> &'a [i8],
        weights: &Weights,
        sums: &mut [i32],
    ) -> Result<(), Error> {
        let [a_bytes, b_bytes, c_bytes] = self.session.design().operand_bytes();
        let size = grid.rows * grid.depths * a_bytes;
        let activations = self.activations.at_least(&mut self.session, size)?;
        let wave = (WAVE_BYTES / c_bytes).clamp(1, grid.launches());
        let results = self.results.at_least(&mut self.session, wave * c_bytes)?;
        let bytes = self.session.bytes_mut(activations)?;
        for (index, block) in bytes[..size].chunks_exact_mut(a_bytes).enumerate() {
            grid.fill(row, (index / grid.depths, index % grid.depths), block);
        }
        self.session.sync(activations, Direction::ToDevice, 0..size)?;
        let all: Vec<Block> = grid.blocks().collect();
        for blocks in all.chunks(wave) {
            let launch = |(index, block): (usize, &Block)| Launch {
                a: Location { buffer: activations, offset: (block.row * grid.depths + block.depth) * a_bytes },
                b: Location { buffer: weights.buffer, offset: (block.column * grid.depths + block.depth) * b_bytes },
                c: Location { buffer: results, offset: index * c_bytes },
            };
            let launches: Vec<Launch> = blocks.iter().enumerate().map(launch).collect();
            let ticket = self.session.submit(&launches)?;
            self.session.wait(ticket)?;
            self.session.sync(results, Direction::FromDevice, 0..blocks.len() * c_bytes)?;
            let bytes = self.session.bytes(results)?;
            for (block, result) in blocks.iter().zip(bytes.chunks_exact(c_bytes)) {
                grid.add(*block, result, sums);
            }
        }
        Ok(())
    }

    /// Multiplies in sequential mode. For each launch (one run of the kernel), synchronises the blocks of activations
    /// and weights, submits, waits, and synchronises the result. This mode exists for comparison with
    /// [`Mode::Batched`].
    fn one_by_one<'a>(
        &mut self,
        grid: &Grid,
        row: &dyn Fn(usize) -> &'a [i8],
        weights: &Weights,
        sums: &mut [i32],
    ) -> Result<(), Error> {
        let [a_bytes, b_bytes, c_bytes] = self.session.design().operand_bytes();
        let activations = self.activations.at_least(&mut self.session, a_bytes)?;
        let results = self.results.at_least(&mut self.session, c_bytes)?;
        for block in grid.blocks() {
            grid.fill(row, (block.row, block.depth), &mut self.session.bytes_mut(activations)?[..a_bytes]);
            self.session.sync(activations, Direction::ToDevice, 0..a_bytes)?;
            let offset = (block.column * grid.depths + block.depth) * b_bytes;
            self.session.sync(weights.buffer, Direction::ToDevice, offset..offset + b_bytes)?;
            let ticket = self.session.submit(&[Launch {
                a: Location { buffer: activations, offset: 0 },
                b: Location { buffer: weights.buffer, offset },
                c: Location { buffer: results, offset: 0 },
            }])?;
            self.session.wait(ticket)?;
            self.session.sync(results, Direction::FromDevice, 0..c_bytes)?;
            grid.add(block, &self.session.bytes(results)?[..c_bytes], sums);
        }
        Ok(())
    }
}

/// How a product is split into launches.
struct Grid {
    launch: Shape,
    /// The number of rows, depths and columns of the product.
    shape: Shape,
    rows: usize,
    depths: usize,
    columns: usize,
}

/// The blocks that one launch multiplies, by their position in the grid.
#[derive(Clone, Copy)]
struct Block {
    row: usize,
    depth: usize,
    column: usize,
}

impl Grid {
    fn new(launch: Shape, m: usize, weights: &Weights) -> Self {
        let (rows, depths) = (m.div_ceil(launch.m), weights.k.div_ceil(launch.k));
        let shape = Shape::new(m, weights.k, weights.n);
        Self { launch, shape, rows, depths, columns: weights.n.div_ceil(launch.n) }
    }

    fn launches(&self) -> usize {
        self.rows * self.depths * self.columns
    }

    fn blocks(&self) -> impl Iterator<Item = Block> {
        let (depths, columns) = (self.depths, self.columns);
        (0..self.launches()).map(move |index| Block {
            row: index / depths / columns,
            column: index / depths % columns,
            depth: index % depths,
        })
    }

    /// Copies a block of activations to `block`, padded with zeros. The blocks are arranged in rows and columns: `at`
    /// is the row of the block, `depth` is its column.
    fn fill<'a>(&self, row: &dyn Fn(usize) -> &'a [i8], (at, depth): (usize, usize), block: &mut [u8]) {
        for (index, out) in block.chunks_exact_mut(self.launch.k).enumerate() {
            let index = at * self.launch.m + index;
            let values = if index < self.shape.m { row(index) } else { &[] };
            assert!(index >= self.shape.m || values.len() == self.shape.k, "rows and weights of different depth");
            let values = values.get(depth * self.launch.k..).unwrap_or_default();
            let (filled, rest) = out.split_at_mut(values.len().min(self.launch.k));
            filled.copy_from_slice(bytemuck::cast_slice(&values[..filled.len()]));
            rest.fill(0);
        }
    }

    /// Adds the result of one launch to the sums of the product.
    fn add(&self, block: Block, result: &[u8], sums: &mut [i32]) {
        let Shape { m, n, .. } = self.shape;
        let (first_row, column) = (block.row * self.launch.m, block.column * self.launch.n);
        let width = self.launch.n.min(n - column);
        for (row, result) in (first_row..m).zip(result.chunks_exact(self.launch.n * size_of::<i32>())) {
            let sums = &mut sums[row * n + column..][..width];
            for (sum, result) in sums.iter_mut().zip(result.as_chunks::<4>().0) {
                // The addition wraps instead of panicking, because a broken device may return any value. The
                // self-test finds wrong results.
                *sum = sum.wrapping_add(i32::from_le_bytes(*result));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use amanuensis_kernels::tile::full_reference;

    use super::*;
    use crate::design::Program;
    use crate::fake::{Controls, Fake};
    use crate::target::Target;

    fn noise(length: usize, mut seed: u32) -> Vec<i8> {
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as i8
        };
        (0..length).map(|_| next()).collect()
    }

    fn device(target: Target, b: Layout, mode: Mode) -> (Gemm, Controls) {
        let fake = Fake::new(target, usize::MAX);
        let controls = fake.controls();
        let design = Design::for_fake(target, Shape::new(16, 24, 32), Shape::new(8, 8, 16), Output::Int32);
        let program = Program { target, launch: design.launch, tile: design.tile, b, output: Output::Int32 };
        let design = Design { b, instructions: program.instructions(), ..design };
        (Gemm::open(Box::new(fake), design, mode).unwrap(), controls)
    }

    fn multiply(gemm: &mut Gemm, a: &[i8], b: &[i8], [m, k, n]: [usize; 3]) -> Vec<i32> {
        let weights = gemm.prepare((n, k), &|index, out| out.copy_from_slice(&b[index * k..][..k])).unwrap();
        let mut sums = vec![7; m * n];
        gemm.multiply(m, &|row| &a[row * k..][..k], &weights, &mut sums).unwrap();
        sums
    }

    #[test]
    fn sums_are_exact_for_any_shape() {
        for [m, k, n] in [[1, 1, 1], [16, 24, 32], [17, 25, 33], [40, 100, 70], [3, 50, 5]] {
            let (a, b) = (noise(m * k, 5), noise(n * k, 6));
            let transposed: Vec<i8> = (0..k * n).map(|at| b[at % n * k + at / n]).collect();
            let expected = full_reference(&a, &transposed, [m, k, n]);
            for target in Target::ALL {
                for b_layout in [Layout::ColumnMajor, Layout::RowMajor] {
                    for mode in [Mode::Batched, Mode::Sequential] {
                        let (mut gemm, _) = device(target, b_layout, mode);
                        // The first product leaves old values in the buffers, which the second product must not use.
                        multiply(&mut gemm, &noise(60 * k, 9), &b, [60, k, n]);
                        assert_eq!(
                            multiply(&mut gemm, &a, &b, [m, k, n]),
                            expected,
                            "{m}x{k}x{n}, {target}, {b_layout:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_wave_is_synchronised_once_in_each_direction() {
        let [m, k, n] = [100, 96, 128];
        let (a, b) = (noise(m * k, 5), noise(n * k, 6));
        let counters = |mode| {
            let (mut gemm, controls) = device(Target::Npu1, Layout::ColumnMajor, mode);
            let weights = gemm.prepare((n, k), &|index, out| out.copy_from_slice(&b[index * k..][..k])).unwrap();
            let before = gemm.counters();
            gemm.multiply(m, &|row| &a[row * k..][..k], &weights, &mut vec![0; m * n]).unwrap();
            let after = gemm.counters();
            // The session counts only after it has loaded the design. The driver also counts the two synchronisations
            // that loading needs.
            assert_eq!(controls.counters().syncs, after.syncs + 2);
            assert_eq!(controls.counters().launches, after.launches);
            assert_eq!(controls.counters().submissions, after.submissions);
            (after.syncs - before.syncs, after.launches)
        };
        let launches = 7 * 4 * 4;
        assert_eq!(counters(Mode::Batched), (2, launches));
        assert_eq!(counters(Mode::Sequential), (3 * launches, launches));
    }
}
