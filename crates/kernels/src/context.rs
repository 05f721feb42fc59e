//! The context that every operation needs: instruction set, threads and memory.

use crate::{Arena, Cpu, IsaError, Pool};

/// The instruction set, the threads, and the memory for packed matrices. Every operation needs them.
#[derive(Debug)]
pub struct Context {
    /// The instruction set in use.
    pub cpu: Cpu,
    /// The threads that share the work of an operation.
    pub pool: Pool,
    /// The memory that packed weights, keys and values are allocated from.
    pub arena: Arena,
}

impl Context {
    /// Creates a context with `threads` threads (the calling thread is one of them; 0 counts as 1). The environment
    /// variable `AMANUENSIS_ISA` names the instruction set. By default, it is the fastest one of this machine.
    ///
    /// # Errors
    ///
    /// If the variable names an unknown instruction set, or one that this machine does not have.
    pub fn new(threads: usize) -> Result<Self, IsaError> {
        Ok(Self::with(Cpu::from_environment()?, threads))
    }

    /// Creates a context with the given instruction set and `threads` threads, counted as in [`Self::new`].
    pub fn with(cpu: Cpu, threads: usize) -> Self {
        Self { cpu, pool: Pool::new(threads), arena: Arena::default() }
    }
}
