//! The table of kernels, and the choice of the kernel for an instruction set.

use super::{Kernel, reference};
use crate::Cpu;

/// A function that returns the kernel of one instruction set if the [`Cpu`] proves that the machine has the set, and
/// `None` otherwise.
type Constructor = fn(Cpu) -> Option<&'static dyn Kernel>;

/// One constructor for each instruction set.
const KERNELS: &[Constructor] = &[
    #[cfg(target_arch = "x86_64")]
    super::amx::kernel,
    #[cfg(target_arch = "x86_64")]
    super::avx512_vnni::kernel,
    #[cfg(target_arch = "x86_64")]
    super::avx_vnni::kernel,
    #[cfg(target_arch = "x86_64")]
    super::avx2::kernel,
    #[cfg(target_arch = "aarch64")]
    super::neon::kernel,
    reference::kernel,
];

/// The kernel for the instruction set of `cpu`.
pub fn kernel(cpu: Cpu) -> &'static dyn Kernel {
    KERNELS.iter().find_map(|kernel| kernel(cpu)).unwrap_or(&reference::Reference)
}
