//! Matrix products `C = A x B^T` with `A` of shape `(m, k)` in rows and `B` of shape `(n, k)`, as weights are stored.
//!
//! The algorithm is the same on every instruction set and is explained here once.
//!
//! **Layout.** `B` is packed when a model is loaded ([`PackedI8`], [`PackedF32`]) into panels of 16 output channels. In
//! an int8 panel a 64-byte line holds four consecutive `k` of each of the 16 channels, so that a line is one cache line,
//! two AVX2 registers or one AVX-512 register, one row of an AMX tile, or four NEON registers, and always what the
//! machine's dot-product instruction wants. In an f32 panel a line holds one `k` of the 16 channels. `A` stays in rows.
//!
//! **Block.** A [`Kernel`] multiplies a block of rows with a run of panels and writes the sums. Inside, a few rows times
//! one or a few panels stay in registers over the whole of `k`; each sum is built in the order of `k`, by itself, so the result of
//! a row does not depend on the rows beside it.
//!
//! **Epilogue.** The block is still in the core's own cache when scale, bias, GELU, residual and re-quantisation are
//! applied ([`Epilogue`]); sums never travel to memory.
//!
//! **Threads.** Many rows are split by rows; few rows (a decoding step) by panels, so that each thread streams its own
//! part of the weights.
//!
//! To add an instruction set: one file with a type that implements [`Kernel`] and can be had only where the machine has
//! the instructions, and one line in `KERNELS`.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512_vnni;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
mod blocks;
mod driver;
mod epilogue;
#[cfg(target_arch = "aarch64")]
mod neon;
mod packed;
mod reference;

pub use blocks::Blocks;
pub use driver::{finish_sums, gemm_f32, gemm_int8};
pub use epilogue::{Activation, Epilogue, Output};
pub use packed::{
    LineBf16, LineF32, LineI8, PANEL, PackedF32, PackedI8, PanelsF32, QuantisedRows, RowsBf16, RowsF32, RowsI8, RowsOf,
    RowsU8,
};
pub(crate) use packed::{padded_k, place};

use crate::pool::scratch_of;
use crate::{Aligned, Cpu, Isa};

/// Rows of a block.
pub(crate) const BLOCK_ROWS: usize = 32;
/// The most panels of a group: its sums take 32 KiB.
const GROUP: usize = 16;

/// The inner loops of one instruction set.
pub trait Kernel: Sync {
    /// The instruction set that the loops are written for.
    fn isa(&self) -> Isa;

    /// `sums[r, c] = sum over k of a[r, k] * b[c, k]`, exact in i32, for all rows of `a` and the whole panels in `b`.
    ///
    /// `b` holds `panels * a.lines()` lines, `sums` is `(a.rows, panels * 16)`. Values of `a` lie in -127..=127.
    ///
    /// # Panics
    /// If the lengths do not agree.
    fn int8(&self, a: RowsI8<'_>, b: &[LineI8], sums: &mut [i32]);

    /// The same for unsigned rows: values of `a` lie in 0..=255.
    ///
    /// # Panics
    /// If the lengths do not agree.
    fn uint8(&self, a: RowsU8<'_>, b: &[LineI8], sums: &mut [i32]);

    /// As [`Self::int8`], but hands the sums over in groups of panels while they are in the innermost cache:
    /// `each(panel, sums)` takes those of the panels from `panel` on, `(a.rows, panels of the group * 16)`.
    ///
    /// # Panics
    /// If the lengths do not agree, or `a` has more than 32 rows, a block.
    fn int8_by_groups(
        &self,
        a: RowsI8<'_>,
        b: &[LineI8],
        sums: &mut Aligned<i32>,
        each: &mut dyn FnMut(usize, &[i32]),
    ) {
        for (index, b) in b.chunks(GROUP * a.lines()).enumerate() {
            let sums = scratch_of(sums, b.len() / a.lines() * PANEL * a.rows);
            self.int8(a, b, sums);
            each(index * GROUP, sums);
        }
    }

    /// The same product for bf16: pairs of products are added in f32, in the order of `k`, as the machine adds them.
    /// In plain Rust where there is nothing better.
    ///
    /// # Panics
    /// If the lengths do not agree.
    fn bf16(&self, a: RowsBf16<'_>, b: &[LineBf16], out: &mut [f32]) {
        reference::multiply_bf16(a, b, out);
    }

    /// [`Self::bf16`] as [`Self::int8_by_groups`] does it.
    ///
    /// # Panics
    /// If the lengths do not agree, or `a` has more than 32 rows, a block.
    fn bf16_by_groups(
        &self,
        a: RowsBf16<'_>,
        b: &[LineBf16],
        sums: &mut Aligned<f32>,
        each: &mut dyn FnMut(usize, &[f32]),
    ) {
        for (index, b) in b.chunks(GROUP * a.lines()).enumerate() {
            let sums = scratch_of(sums, b.len() / a.lines() * PANEL * a.rows);
            self.bf16(a, b, sums);
            each(index * GROUP, sums);
        }
    }

    /// `out[r, c] = sum over k of a[r, k] * b[c, k]`, added up in the order of `k`.
    ///
    /// `out` is `(a.rows, b.count * 16)`.
    ///
    /// # Panics
    /// If the lengths do not agree.
    fn f32(&self, a: RowsF32<'_>, b: PanelsF32<'_>, out: &mut [f32]);
}

type Constructor = fn(Cpu) -> Option<&'static dyn Kernel>;

/// One constructor for each instruction set; it gives a kernel only where the [`Cpu`] proves that the machine has it.
const KERNELS: &[Constructor] = &[
    #[cfg(target_arch = "x86_64")]
    amx::kernel,
    #[cfg(target_arch = "x86_64")]
    avx512_vnni::kernel,
    #[cfg(target_arch = "x86_64")]
    avx_vnni::kernel,
    #[cfg(target_arch = "x86_64")]
    avx2::kernel,
    #[cfg(target_arch = "aarch64")]
    neon::kernel,
    reference::kernel,
];

/// The kernel for an instruction set.
pub fn kernel(cpu: Cpu) -> &'static dyn Kernel {
    KERNELS.iter().find_map(|kernel| kernel(cpu)).unwrap_or(&reference::Reference)
}

#[cfg(test)]
mod conformance;
