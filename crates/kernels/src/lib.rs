//! Arithmetic on slices, and nothing else: the crate knows no audio, no tensor names and no files.
//!
//! The crate holds every computation of a Whisper model: int8 and f32 matrix products with a fused epilogue
//! ([`gemm`]), blockwise attention ([`attention`]), layer norm ([`norm`]), softmax and GELU ([`vector`]),
//! quantisation ([`quantise`]), and the thread pool that all of them run on ([`Pool`]). The instruction set is chosen
//! once, at run time, and is passed to every operation as a [`Cpu`].
//!
//! Two guarantees hold for every operation:
//!
//! - An int8 product is exact, so it has the same bits on every instruction set.
//! - An f32 reduction adds in an order that depends only on the length of its own row. So neither the batch size nor
//!   the number of threads changes a result.

mod aligned;
mod arena;
mod context;
mod cpu;
mod disjoint;
mod lines;
mod pool;
mod scratch;

pub mod attention;
pub mod gemm;
pub mod lstm;
pub mod norm;
pub mod quantise;
pub mod roofline;
pub mod tile;
pub mod vector;

pub use aligned::{Aligned, Number};
pub use arena::Arena;
pub use context::Context;
pub use cpu::{Cpu, Isa, IsaError};
pub use pool::Pool;
pub use scratch::Scratch;
