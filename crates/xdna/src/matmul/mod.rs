//! Products of int8 matrices, by both contracts.
//!
//! *Tile-exact*: [`TileMatmul`] makes a product of launches of a device's tile kernel. The contract is that of
//! [`amanuensis_kernels::tile`]; whatever the device, and in either [`Mode`], the result has the same bits.
//! *Full*: [`full`] is exact over all depths, as the encoder needs it, on the processor's own kernels.
//!
//! A device is a [`TileDevice`]. [`CpuDevice`] is one that is always there: its launches run on a thread of its own behind
//! a queue, as a driver's would.

mod cpu;
mod device;
mod error;
mod full;
mod product;
mod scaled;
mod tiles;
mod waves;

pub use cpu::{CpuDevice, CpuDeviceError};
pub use device::TileDevice;
pub use error::MatmulError;
pub use full::full;
pub use product::{Mode, TileMatmul};
pub use scaled::Scaled;

#[cfg(test)]
mod tests;
