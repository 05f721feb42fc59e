//! Products of int8 matrices, by two contracts that define the result exactly.
//!
//! *Tile-exact*: [`TileMatmul`] computes a product from launches (runs) of a device's tile kernel. The contract is
//! defined in [`amanuensis_kernels::tile`]. The result has the same bits on every device and in both values of
//! [`Mode`]. *Full*: [`full`] computes sums that are exact over the whole depth, as the encoder needs them, with the
//! processor's kernels.
//!
//! A device is a [`TileDevice`]. [`CpuDevice`] is always available: its launches run on a separate thread behind a
//! queue, as with a driver.

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
