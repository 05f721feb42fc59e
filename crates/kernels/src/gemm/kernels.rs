//! The table of kernels, and the choice of one.

use super::{Kernel, reference};
use crate::Cpu;

/// Returns the kernel of one instruction set if the [`Cpu`] proves that the machine has it.
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

/// The kernel of an instruction set.
pub fn kernel(cpu: Cpu) -> &'static dyn Kernel {
    KERNELS.iter().find_map(|kernel| kernel(cpu)).unwrap_or(&reference::Reference)
}
