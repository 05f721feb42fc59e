//! Single tiles on an NPU: a session whose design multiplies one, as a device for [`TileMatmul`](crate::matmul).

use std::ops::Range;

use amanuensis_kernels::tile::TileSize;

use crate::design::{Design, Output, Shape};
use crate::driver::{self, Driver};
use crate::error::Error;
use crate::matmul::{Buffer, Counters, Direction, Launch, Place, Ticket, TileDevice};
use crate::session::{self, Session};
use crate::target::Target;

/// An NPU with a design for tiles.
#[derive(Debug)]
pub struct TileNpu {
    session: Session,
    tile: TileSize,
}

impl TileNpu {
    /// Loads a design, whose launches are tiles that come out in int8, into a device.
    pub fn open(driver: Box<dyn Driver>, design: Design) -> Result<Self, Error> {
        let Shape { m, k, n } = design.launch;
        let tile = TileSize::of(m).filter(|_| m == k && k == n && design.output == Output::Int8);
        let problem = "it multiplies no square tiles of 16, 32 or 64 with int8 results".to_owned();
        let tile = tile.ok_or_else(|| Error::Design { directory: design.directory.clone(), problem })?;
        Ok(Self { session: Session::open(driver, design)?, tile })
    }

    /// The design of tiles that the fake device understands.
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
        self.session.allocate(bytes).map(|buffer| Buffer(buffer.handle()))
    }

    fn free(&mut self, buffer: Buffer) -> Result<(), Error> {
        self.session.free(session_buffer(buffer))
    }

    fn host(&self, buffer: Buffer) -> Result<&[i8], Error> {
        self.session.bytes(session_buffer(buffer)).map(bytemuck::cast_slice)
    }

    fn host_mut(&mut self, buffer: Buffer) -> Result<&mut [i8], Error> {
        self.session.bytes_mut(session_buffer(buffer)).map(bytemuck::cast_slice_mut)
    }

    fn sync(&mut self, buffer: Buffer, range: Range<usize>, direction: Direction) -> Result<(), Error> {
        let direction = match direction {
            Direction::ToDevice => driver::Direction::ToDevice,
            Direction::FromDevice => driver::Direction::FromDevice,
        };
        self.session.sync(session_buffer(buffer), direction, range)
    }

    fn submit(&mut self, launches: &[Launch]) -> Result<Ticket, Error> {
        let place = |place: Place| session::Place { buffer: session_buffer(place.buffer), offset: place.offset };
        let launch = |launch: &Launch| session::Launch { a: place(launch.a), b: place(launch.b), c: place(launch.c) };
        let launches: Vec<session::Launch> = launches.iter().map(launch).collect();
        self.session.submit(&launches).map(|ticket| Ticket(ticket.point()))
    }

    fn wait(&mut self, ticket: Ticket) -> Result<(), Error> {
        self.session.wait(session::Ticket::of_point(ticket.0))
    }

    fn counters(&self) -> Counters {
        self.session.counters()
    }
}

fn session_buffer(buffer: Buffer) -> session::Buffer {
    session::Buffer::of_handle(buffer.0)
}
