//! Int8 matrix products on AMD XDNA NPUs, without a vendor runtime.

#![deny(unsafe_code)]

#[cfg(target_os = "linux")]
mod abi;
pub mod cost;
pub mod design;
pub mod driver;
mod error;
pub mod fake;
pub mod gemm;
#[cfg(target_os = "linux")]
mod ioctl;
mod machine;
pub mod matmul;
pub mod packet;
mod self_test;
pub mod session;
pub mod target;
mod tiles;
pub mod xclbin;

pub use error::Error;
pub use fake::Fake;
#[cfg(target_os = "linux")]
pub use ioctl::Ioctl;
pub use machine::{Found, Machine};
pub use self_test::{SelfTest, self_test};
pub use session::Session;
pub use tiles::TileNpu;
