//! Products of int8 matrices on a device that multiplies tiles.

mod device;

pub use device::{Buffer, Counters, Direction, Launch, Place, Ticket, TileDevice};
