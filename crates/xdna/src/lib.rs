//! Int8 matrix products on AMD XDNA NPUs, without a vendor runtime.
//!
//! From the ground up: [`driver`] is what the kernel's driver `amdxdna` can be asked, answered by the kernel (`Ioctl`) or
//! by a model of it ([`fake`]). [`launch`] is what launches are made of, [`packet`] writes commands, [`xclbin`] and
//! [`design`] read what is loaded into the array, [`session`] brings both together. On top, [`gemm`] computes exact
//! products of any shape for the encoder, and [`TileNpu`] tiles for [`matmul`]. [`Machine`] says what there is,
//! [`self_test`](fn@self_test) whether it computes what it should, and [`cost`] how long that is *predicted* to take.
//!
//! No such device was at hand: what silicon alone can show is *untested on hardware*.

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
