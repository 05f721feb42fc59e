//! A matrix product computed from a device's launches (runs of its kernel), one by one or in groups called waves.

use amanuensis_kernels::Cpu;
use amanuensis_kernels::tile::{TileSize, accumulate, clamp_sums};
use strum::{Display, EnumString, VariantNames};

use crate::driver::Direction;
use crate::launch::{Buffer, Launch, Location, Ticket};

use super::device::TileDevice;
use super::error::{MatmulError, check};
use super::scaled::{Scaled, quantise_columns, quantise_rows};
use super::tiles::{Matrix, put};
use super::waves::{Extent, Wave, extent, waves};

/// Maximum depth of a product. The result of a tile is at least -128, and the sum of this many results fits into 32
/// bits.
const MAX_DEPTH: usize = 1 << 27;

/// Size in bytes of the results of a wave (a group of launches). These results and the sums computed from them fit
/// into the caches of a core.
const WAVE_BYTES: usize = 1 << 20;

/// How launches are submitted to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Mode {
    /// One launch (one run of the kernel) at a time. For each pair of tiles, the host writes both tiles, synchronises
    /// them, submits the launch, waits, synchronises the result, and adds it to the sums.
    Sequential,
    /// Many launches at a time, in groups (waves). All tiles of a wave are in one buffer that is synchronised once. A
    /// wave is one submission with one wait, and its results are synchronised once and accumulated together. While
    /// the device works on a wave, the host prepares the next one and accumulates the results of the wave before.
    Batched,
}

/// Computes products by the tile-exact contract on a device. The buffers are kept and used again for the next
/// product.
#[derive(Debug)]
pub struct TileMatmul<D: TileDevice> {
    device: D,
    cpu: Cpu,
    wave_bytes: usize,
    /// Two sets of buffers, so that the device can work on one while the host works on the other.
    sets: [Option<Set>; 2],
    launches: Vec<Launch>,
    sums: Vec<i32>,
}

/// The buffers of a wave (a group of launches), each with its size in bytes.
#[derive(Clone, Copy, Debug)]
struct Set {
    /// The buffer for the tiles of A, which are followed by the tiles of B.
    inputs: (Buffer, usize),
    /// The buffer for the results of the launches.
    outputs: (Buffer, usize),
}

impl<D: TileDevice> TileMatmul<D> {
    /// Creates an object that computes products on `device`. The host's part of the work uses the instruction set of
    /// `cpu`.
    pub fn new(device: D, cpu: Cpu) -> Self {
        Self { device, cpu, wave_bytes: WAVE_BYTES, sets: [None; 2], launches: Vec::new(), sums: Vec::new() }
    }

    /// Sets the maximum size in bytes of the results of a wave (a group of launches) to `bytes`, but to no less than
    /// one tile. The default is 1 MiB.
    #[must_use]
    pub fn with_wave_bytes(mut self, bytes: usize) -> Self {
        self.wave_bytes = bytes;
        self
    }

    /// The device that the products are computed on.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// Computes `A x B` by the tile-exact contract. `a` is `(m, k)`, `b` is `(k, n)`, and the result is `(m, n)`, all
    /// row-major.
    pub fn multiply(
        &mut self,
        mode: Mode,
        a: &[i8],
        b: &[i8],
        [m, k, n]: [usize; 3],
    ) -> Result<Vec<i8>, MatmulError<D::Error>> {
        check(a.len(), b.len(), [m, k, n], MAX_DEPTH)?;
        let a = Matrix { data: a, rows: m, columns: k };
        let b = Matrix { data: b, rows: k, columns: n };
        let mut c = vec![0; m * n];
        let done = match mode {
            Mode::Sequential => self.one_by_one(a, b, &mut c),
            Mode::Batched => self.in_waves(a, b, &mut c),
        };
        if done.is_err() {
            // After an error, the device may still write to these buffers, so they are neither reused nor closed.
            self.sets = [None; 2];
        }
        done?;
        Ok(c)
    }

    /// Computes `A x B` of f32 matrices by the tile-exact contract. A is quantised to int8 by rows and B by columns,
    /// symmetrically, with the largest magnitude mapped to 127. The result is int8 with scales. By the contract, one
    /// unit of the int8 result stands for 128 units of the exact integer product, and values out of range become -128
    /// or 127.
    pub fn multiply_f32(
        &mut self,
        mode: Mode,
        a: &[f32],
        b: &[f32],
        [m, k, n]: [usize; 3],
    ) -> Result<Scaled<i8>, MatmulError<D::Error>> {
        check(a.len(), b.len(), [m, k, n], MAX_DEPTH)?;
        let (a, row_scales) = quantise_rows(self.cpu, a, [m, k]).ok_or(MatmulError::NotFinite("A"))?;
        let (b, column_scales) = quantise_columns(self.cpu, b, [k, n]).ok_or(MatmulError::NotFinite("B"))?;
        let values = self.multiply(mode, &a, &b, [m, k, n])?;
        Ok(Scaled::of_tiles(values, row_scales, column_scales))
    }

    fn one_by_one(&mut self, a: Matrix<'_>, b: Matrix<'_>, c: &mut [i8]) -> Result<(), D::Error> {
        let size = self.device.tile();
        let tile = size.elements();
        let product = tiles_of(a, b, size);
        let Set { inputs: (inputs, _), outputs: (outputs, _) } = self.set(0, 2 * tile, tile)?;
        let launch = Launch {
            a: Location { buffer: inputs, offset: 0 },
            b: Location { buffer: inputs, offset: tile },
            c: Location { buffer: outputs, offset: 0 },
        };
        let (mut sums, mut clamped) = (vec![0; tile], vec![0; tile]);
        for (row, column) in (0..product.rows).flat_map(|row| (0..product.columns).map(move |column| (row, column))) {
            sums.fill(0);
            for depth in 0..product.depths {
                let (left, right) = self.device.host_mut(inputs)?[..2 * tile].split_at_mut(tile);
                a.tile(size, (row, depth), left);
                b.tile(size, (depth, column), right);
                self.device.sync(inputs, 0..2 * tile, Direction::ToDevice)?;
                let ticket = self.device.submit(&[launch])?;
                self.device.wait(ticket)?;
                self.device.sync(outputs, 0..tile, Direction::FromDevice)?;
                accumulate(self.cpu, &self.device.host(outputs)?[..tile], &mut sums);
            }
            clamp_sums(self.cpu, &sums, &mut clamped);
            put(&clamped, size, (row, column), (a.rows, b.columns), c);
        }
        Ok(())
    }

    fn in_waves(&mut self, a: Matrix<'_>, b: Matrix<'_>, c: &mut [i8]) -> Result<(), D::Error> {
        let size = self.device.tile();
        let product = tiles_of(a, b, size);
        let largest = extent(product, (self.wave_bytes / size.elements()).max(1));
        self.sums.clear();
        self.sums.resize(largest.rows * largest.columns * size.elements(), 0);
        let mut pending: Option<(Wave, Set, Ticket)> = None;
        for (index, wave) in waves(product, largest).enumerate() {
            let (inputs, outputs) = (largest.inputs() * size.elements(), largest.launches() * size.elements());
            let set = self.set(index % 2, inputs, outputs)?;
            let ticket = self.begin(&wave, set, a, b)?;
            if let Some((wave, set, ticket)) = pending.replace((wave, set, ticket)) {
                self.finish(&wave, set, ticket, (a.rows, b.columns), c)?;
            }
        }
        match pending {
            Some((wave, set, ticket)) => self.finish(&wave, set, ticket, (a.rows, b.columns), c),
            None => Ok(()),
        }
    }

    /// Writes the tiles of a wave (a group of launches) to the buffers `set`, synchronises them, and submits the
    /// wave's launches.
    fn begin(&mut self, wave: &Wave, set: Set, a: Matrix<'_>, b: Matrix<'_>) -> Result<Ticket, D::Error> {
        let (size, extent) = (self.device.tile(), wave.extent());
        let tile = size.elements();
        let inputs = self.device.host_mut(set.inputs.0)?;
        // Store the tiles of A row by row and the tiles of B column by column, so that tiles at consecutive depths
        // are adjacent.
        let left = wave.rows.clone().flat_map(|row| wave.depths.clone().map(move |depth| (row, depth)));
        let right = wave.columns.clone().flat_map(|column| wave.depths.clone().map(move |depth| (depth, column)));
        let (left_tiles, right_tiles) = inputs.split_at_mut(extent.rows * extent.depths * tile);
        left_tiles.chunks_exact_mut(tile).zip(left).for_each(|(tile, at)| a.tile(size, at, tile));
        right_tiles.chunks_exact_mut(tile).zip(right).for_each(|(tile, at)| b.tile(size, at, tile));
        self.device.sync(set.inputs.0, 0..extent.inputs() * tile, Direction::ToDevice)?;

        self.launches.clear();
        let input = |index: usize| Location { buffer: set.inputs.0, offset: index * tile };
        for row in 0..extent.rows {
            for column in 0..extent.columns {
                let (left, right) = (row * extent.depths, (extent.rows + column) * extent.depths);
                let result = (row * extent.columns + column) * extent.depths;
                self.launches.extend((0..extent.depths).map(|depth| Launch {
                    a: input(left + depth),
                    b: input(right + depth),
                    c: Location { buffer: set.outputs.0, offset: (result + depth) * tile },
                }));
            }
        }
        self.device.submit(&self.launches)
    }

    /// Waits for a wave (a group of launches) and adds its results to the sums. If this completes sums, writes them
    /// to the result matrix.
    fn finish(
        &mut self,
        wave: &Wave,
        set: Set,
        ticket: Ticket,
        shape: (usize, usize),
        c: &mut [i8],
    ) -> Result<(), D::Error> {
        let (size, extent) = (self.device.tile(), wave.extent());
        let tile = size.elements();
        self.device.wait(ticket)?;
        let bytes = extent.launches() * tile;
        self.device.sync(set.outputs.0, 0..bytes, Direction::FromDevice)?;
        let results = &self.device.host(set.outputs.0)?[..bytes];
        let locations = wave.rows.clone().flat_map(|row| wave.columns.clone().map(move |column| (row, column)));
        let mut clamped = vec![0; tile];
        for ((results, sums), location) in
            results.chunks_exact(extent.depths * tile).zip(self.sums.chunks_exact_mut(tile)).zip(locations)
        {
            accumulate(self.cpu, results, sums);
            if wave.ends_sums {
                clamp_sums(self.cpu, sums, &mut clamped);
                put(&clamped, size, location, shape, c);
                sums.fill(0);
            }
        }
        Ok(())
    }

    /// Returns the buffers with number `index`. If they are smaller than `inputs` and `outputs` bytes, replaces them
    /// by larger ones first.
    fn set(&mut self, index: usize, inputs: usize, outputs: usize) -> Result<Set, D::Error> {
        if let Some(set) = self.sets[index] {
            if set.inputs.1 >= inputs && set.outputs.1 >= outputs {
                return Ok(set);
            }
            self.sets[index] = None;
            self.device.free(set.inputs.0)?;
            self.device.free(set.outputs.0)?;
        }
        let set =
            Set { inputs: (self.device.allocate(inputs)?, inputs), outputs: (self.device.allocate(outputs)?, outputs) };
        self.sets[index] = Some(set);
        Ok(set)
    }
}

/// The number of tiles of a product in each dimension.
fn tiles_of(a: Matrix<'_>, b: Matrix<'_>, size: TileSize) -> Extent {
    let tiles = |length: usize| length.div_ceil(size.side());
    Extent { rows: tiles(a.rows), depths: tiles(a.columns), columns: tiles(b.columns) }
}
