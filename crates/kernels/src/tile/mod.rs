//! The tile-exact contract: the result of a matrix product computed by an int8 tile kernel of an NPU.
//!
//! An NPU multiplies square tiles of side t (16, 32 or 64). One launch (one run of the NPU kernel) multiplies two tiles
//! and returns an int8 tile. A product `C (m, n) = A (m, k) x B (k, n)`, all row-major int8 in the full range
//! -128..=127, is computed as follows:
//!
//! 1. Pad m, k and n with zeros to multiples of t.
//! 2. Launch: multiply tile (i, l) of A with tile (l, j) of B. Each exact i32 sum over the t values of k becomes
//!    `clamp(sum >> 7, -128, 127)`. The shift is arithmetic, so it rounds towards minus infinity.
//! 3. For each tile (i, j) of C, the host adds the results of all launches l in i32.
//! 4. The host clamps these sums to int8 once.
//!
//! The result differs from `clamp((A x B) >> 7)`, because every launch drops seven bits and saturates on its own. The
//! size of the difference depends on the data and on t, so being close to that value does not show that a result is
//! correct. A result is correct if it is bit-equal to [`tile_exact_reference`].
//!
//! The *full* contract, which the encoder needs, is the exact i32 sum over all of k. [`crate::gemm`] computes it, and
//! [`full_reference`] is its definition.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512_vnni;
mod contract;
mod portable;
mod product;
mod reference;
mod sums;

pub use contract::{SHIFT, TileSize};
pub use product::product;
pub use reference::{full_reference, tile_exact_reference};
pub use sums::{accumulate, clamp_sums};

#[cfg(test)]
mod tests;
