//! Int8 matrix products on AMD XDNA NPUs, without a vendor runtime.

#![deny(unsafe_code)]

#[cfg(target_os = "linux")]
mod abi;
pub mod driver;
mod error;
#[cfg(target_os = "linux")]
mod ioctl;
pub mod matmul;
pub mod packet;
pub mod xclbin;

pub use error::Error;
#[cfg(target_os = "linux")]
pub use ioctl::Ioctl;
