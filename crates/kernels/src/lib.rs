//! Arithmetic on slices, and nothing else: no audio, no tensor names, no files.
//!
//! Everything a Whisper model computes is here: int8 and f32 matrix products with a fused epilogue ([`gemm`]), attention
//! in blocks ([`attention`]), layer norm, softmax, GELU and quantisation, and the thread pool they share ([`Pool`]).
//! Which instructions run is decided once, at run time, by the [`Cpu`] a caller hands in.
//!
//! Two promises hold throughout. An int8 product is exact, the same bits on every instruction set. An f32 reduction runs
//! in an order fixed by the shape of its own row, so neither batch size nor thread count changes a result.

mod aligned;
mod arena;
mod cpu;
mod pool;

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
pub use cpu::{Cpu, Isa, IsaError};
pub use pool::{Pool, Scratch};

/// What every operation needs: the instruction set, the threads, and memory for what it keeps.
#[derive(Debug)]
pub struct Context {
    /// The instruction set in use.
    pub cpu: Cpu,
    /// The threads that share the work.
    pub pool: Pool,
    /// Where weights, keys and values are kept.
    pub arena: Arena,
}

impl Context {
    /// A context of `threads` threads (at least one, counting the caller) on the best instruction set of this machine,
    /// or the one that `AMANUENSIS_ISA` names.
    pub fn new(threads: usize) -> Result<Self, IsaError> {
        Ok(Self::with(Cpu::from_environment()?, threads))
    }

    /// A context of `threads` threads on a given instruction set.
    pub fn with(cpu: Cpu, threads: usize) -> Self {
        Self { cpu, pool: Pool::new(threads), arena: Arena::default() }
    }
}
