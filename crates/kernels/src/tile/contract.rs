//! The sizes of the tiles that an NPU kernel multiplies, and how one sum becomes one int8 result.

use std::fmt;

/// Number of low bits that a launch (one product of two tiles on the NPU) drops from each sum.
pub const SHIFT: u32 = 7;

/// The number of rows and columns of a square tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileSize {
    /// A tile of 16 by 16 elements.
    T16,
    /// A tile of 32 by 32 elements.
    T32,
    /// A tile of 64 by 64 elements.
    T64,
}

impl TileSize {
    /// All sizes, ascending.
    pub const ALL: [TileSize; 3] = [TileSize::T16, TileSize::T32, TileSize::T64];

    /// The size with `side` rows and columns. `None` unless `side` is 16, 32 or 64.
    pub fn of(side: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.side() == side)
    }

    /// Number of rows, which is also the number of columns.
    pub fn side(self) -> usize {
        match self {
            TileSize::T16 => 16,
            TileSize::T32 => 32,
            TileSize::T64 => 64,
        }
    }

    /// Number of elements in a tile.
    pub fn elements(self) -> usize {
        self.side() * self.side()
    }
}

impl fmt::Display for TileSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.side().fmt(f)
    }
}

/// The int8 result of a launch (one product of two tiles) for one of its sums: the sum, shifted right by [`SHIFT`]
/// and clamped.
pub(crate) fn shifted(sum: i32) -> i8 {
    clamped(sum >> SHIFT)
}

/// The value of `sum`, clamped to -128..=127.
pub(crate) fn clamped(sum: i32) -> i8 {
    sum.clamp(i8::MIN.into(), i8::MAX.into()) as i8
}
