//! Int8 matrix products on AMD XDNA NPUs, without a vendor runtime.
//!
//! The modules from bottom to top: [`driver`] is the interface of the kernel driver `amdxdna`, implemented by the
//! kernel (`Ioctl`) and by a software model ([`fake`]). [`launch`] describes launches (single runs of a matrix
//! kernel), [`packet`] encodes commands, and [`xclbin`] and [`design`] read the files of a design, the program that
//! is loaded into the NPU. [`session`] combines these modules to run a design. Above [`session`], [`gemm`] computes
//! exact products of any shape for the encoder, and [`TileNpu`] computes tiles for [`matmul`]. [`Machine`] lists the
//! NPUs of the machine, [`self_test`](fn@self_test) checks their results, and [`cost`] *predicts* their run times.
//!
//! The developers had no such NPU. Everything that needs real hardware is *untested on hardware*.

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
pub mod launch;
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
