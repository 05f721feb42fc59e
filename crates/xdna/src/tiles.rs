//! Tile products on an NPU: a session whose design (the NPU's program) multiplies one pair of tiles per launch. It
//! serves as a device for [`TileMatmul`](crate::matmul).

use std::ops::Range;

use amanuensis_kernels::tile::TileSize;

use crate::design::{Design, Output, Shape};
use crate::driver::{Direction, Driver};
use crate::error::Error;
use crate::launch::{Buffer, Counters, Launch, Ticket};
use crate::matmul::TileDevice;
use crate::session::Session;
use crate::target::Target;

/// An NPU with a loaded design that multiplies single tiles.
#[derive(Debug)]
pub struct TileNpu {
    session: Session,
    tile: TileSize,
}

impl TileNpu {
    /// Loads a design (a compiled program) into the device of `driver`. Each launch (one run) of the design must
    /// multiply one pair of tiles, with int8 results. Otherwise this returns an error.
    pub fn open(driver: Box<dyn Driver>, design: Design) -> Result<Self, Error> {
        let Shape { m, k, n } = design.launch;
        let tile = TileSize::of(m).filter(|_| m == k && k == n && design.output == Output::Int8);
        let problem = "it multiplies no square tiles of 16, 32 or 64 with int8 results".to_owned();
        let tile = tile.ok_or_else(|| Error::Design { directory: design.directory.clone(), problem })?;
        Ok(Self { session: Session::open(driver, design)?, tile })
    }

    /// Makes a design (an NPU's program) that multiplies single tiles, for the fake device only.
    pub fn design_for_fake(target: Target, tile: TileSize) -> Design {
        let side = tile.side();
        let shape = Shape::new(side, side, side);
        Design::for_fake(target, shape, shape, Output::Int8)
    }
}

impl TileDevice for TileNpu {
    type Error = Error;

    fn tile(&self) -> TileSize {
        self.tile
    }

    fn allocate(&mut self, bytes: usize) -> Result<Buffer, Error> {
        self.session.allocate(bytes)
    }

    fn free(&mut self, buffer: Buffer) -> Result<(), Error> {
        self.session.free(buffer)
    }

    fn host(&self, buffer: Buffer) -> Result<&[i8], Error> {
        self.session.bytes(buffer).map(bytemuck::cast_slice)
    }

    fn host_mut(&mut self, buffer: Buffer) -> Result<&mut [i8], Error> {
        self.session.bytes_mut(buffer).map(bytemuck::cast_slice_mut)
    }

    fn sync(&mut self, buffer: Buffer, range: Range<usize>, direction: Direction) -> Result<(), Error> {
        self.session.sync(buffer, direction, range)
    }

    fn submit(&mut self, launches: &[Launch]) -> Result<Ticket, Error> {
        self.session.submit(launches)
    }

    fn wait(&mut self, ticket: Ticket) -> Result<(), Error> {
        self.session.wait(ticket)
    }

    fn counters(&self) -> Counters {
        self.session.counters()
    }
}
