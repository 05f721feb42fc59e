//! Matrix products `C = A x B^T`.
//!
//! `A` is `(m, k)`: activations, one row for each token or frame. `B` is `(n, k)`: weights, one row for each output
//! channel. `C` is `(m, n)`.
//!
//! The algorithm is the same on every instruction set:
//!
//! **Layout.** `B` is packed into panels of 16 output channels when a model is loaded ([`PackedI8`], [`PackedF32`]). A
//! panel is a sequence of 64-byte lines. In an int8 panel a line holds four consecutive `k` of each of the 16 channels.
//! Such a line fills one cache line, two AVX2 registers, one AVX-512 register, one row of an AMX tile or four NEON
//! registers. Its bytes are always in the order that the machine's dot-product instruction needs. In an f32 panel a
//! line holds one `k` of the 16 channels. `A` stays in rows.
//!
//! **Block.** A [`Kernel`] multiplies a block of rows with consecutive panels and writes the sums. Inside, the sums of
//! a few rows and a few panels stay in registers over the whole of `k`. Each sum is accumulated on its own, in the
//! order of `k`, so the result of a row does not depend on the other rows.
//!
//! **Epilogue.** Scale, bias, GELU, residual and re-quantisation are applied while the sums of the block are still in
//! the core's own cache ([`Epilogue`]). The i32 sums are never written to main memory.
//!
//! **Threads.** A product of many rows is split by rows. A product of few rows (a decoding step) is split by panels, so
//! that each thread streams its own part of the weights.
//!
//! To add an instruction set, write one file with a type that implements [`Kernel`] and that can be constructed only
//! where the machine has the instructions, and add one line to `KERNELS` in `kernels.rs`.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512_vnni;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
mod bf16;
mod blocks;
mod contract;
mod driver;
mod epilogue;
mod kernels;
#[cfg(target_arch = "aarch64")]
mod neon;
mod operands;
mod packed_f32;
mod packed_i8;
mod quantised_rows;
mod reference;

pub use blocks::Blocks;
pub use contract::Kernel;
pub use driver::{finish_sums, gemm_f32, gemm_int8};
pub use epilogue::{Activation, Epilogue, Output};
pub use kernels::kernel;
pub use operands::{PanelsF32, RowsBf16, RowsF32, RowsI8, RowsOf, RowsU8};
pub use packed_f32::PackedF32;
pub use packed_i8::PackedI8;
pub(crate) use packed_i8::write_channel;
pub use quantised_rows::QuantisedRows;

pub use crate::lines::{LineBf16, LineF32, LineI8, PANEL};

#[cfg(test)]
mod conformance;
