//! Tile sizes, and how one sum becomes one int8 result.

use std::fmt;

/// Number of low bits that a launch drops from each sum.
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
    /// All sizes, ascending.
    pub const ALL: [TileSize; 3] = [TileSize::T16, TileSize::T32, TileSize::T64];

    /// The size with the given side, if it is 16, 32 or 64.
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

/// The int8 result of a launch for one of its sums.
pub(crate) fn shifted(sum: i32) -> i8 {
    clamped(sum >> SHIFT)
}

/// `sum`, clamped to int8.
pub(crate) fn clamped(sum: i32) -> i8 {
    sum.clamp(i8::MIN.into(), i8::MAX.into()) as i8
}
