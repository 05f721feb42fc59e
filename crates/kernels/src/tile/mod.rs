//! The tile-exact contract: what an int8 tile kernel of an NPU computes, and the products of tiles it is made of.
//!
//! An NPU multiplies small square tiles (side t of 16, 32 or 64), each launch returning int8. A product
//! `C (m, n) = A (m, k) x B (k, n)`, all row-major int8 over the full -128..=127, is made of such launches so:
//!
//! 1. m, k and n are filled up with zeros to multiples of t.
//! 2. A launch multiplies tile (i, l) of A with tile (l, j) of B: exact i32 sums over its t depths, then
//!    `clamp(sum >> 7, -128, 127)`, the shift arithmetic, so that it rounds towards minus infinity.
//! 3. The results of all depths l of a tile (i, j) are added in i32, by the host.
//! 4. These sums are clamped to int8 once.
//!
//! This is not `clamp((A x B) >> 7)`: each launch drops its own seven bits, and saturates by itself. How far the two are
//! apart depends on the data and on t, and says nothing about right or wrong: right is what has the bits of
//! [`tile_exact_reference`]. The *full* contract, which the encoder needs, is the exact i32 sum over all of k
//! ([`crate::gemm`]; by its definition, [`full_reference`]).

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512_vnni;
mod portable;
mod product;
mod reference;
mod sums;

pub use product::product;
pub use reference::{full_reference, tile_exact_reference};
pub use sums::{accumulate, clamp_sums};

use std::fmt;

/// Bits that a launch drops of its sums.
pub const SHIFT: u32 = 7;

/// The side of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileSize {
    /// 16 by 16.
    T16,
    /// 32 by 32.
    T32,
    /// 64 by 64.
    T64,
}

impl TileSize {
    /// All there are, ascending.
    pub const ALL: [TileSize; 3] = [TileSize::T16, TileSize::T32, TileSize::T64];

    /// The size whose side is `side`, if there is one.
    pub fn of(side: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.side() == side)
    }

    /// Rows, and columns.
    pub fn side(self) -> usize {
        match self {
            TileSize::T16 => 16,
            TileSize::T32 => 32,
            TileSize::T64 => 64,
        }
    }

    /// Numbers in a tile.
    pub fn elements(self) -> usize {
        self.side() * self.side()
    }
}

impl fmt::Display for TileSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.side().fmt(f)
    }
}

/// What a launch makes of one of its sums.
pub(crate) fn shifted(sum: i32) -> i8 {
    clamped(sum >> SHIFT)
}

pub(crate) fn clamped(sum: i32) -> i8 {
    sum.clamp(i8::MIN.into(), i8::MAX.into()) as i8
}

#[cfg(test)]
mod tests;
