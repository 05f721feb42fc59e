//! The shape, layout, result type and arguments of a launch.

/// The shape of a product: its rows, its depth and its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Rows of `A` and `C`.
    pub m: usize,
    /// Columns of `A`, rows of `B`.
    pub k: usize,
    /// Columns of `B` and `C`.
    pub n: usize,
}

impl Shape {
    /// The shape of `(m, k)` times `(k, n)`.
    pub fn new(m: usize, k: usize, n: usize) -> Self {
        Self { m, k, n }
    }

    /// Number of arithmetic operations: two for each multiply-accumulate.
    pub fn operations(self) -> u64 {
        2 * self.m as u64 * self.k as u64 * self.n as u64
    }
}

/// Memory layout of `B`. `A` and `C` are row-major.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `(k, n)`: row-major.
    #[default]
    RowMajor,
    /// `(n, k)`: column-major, as weights are stored.
    ColumnMajor,
}

/// The result of a launch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub enum Output {
    /// The full contract: exact i32 sums.
    #[default]
    #[serde(rename = "int32")]
    Int32,
    /// The tile-exact contract: `clamp(sum >> 7, -128, 127)`.
    #[serde(rename = "int8")]
    Int8,
}

impl Output {
    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            Self::Int32 => 4,
            Self::Int8 => 1,
        }
    }
}

/// A buffer argument of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Argument {
    /// The left matrix.
    A,
    /// The right matrix.
    B,
    /// The result.
    C,
    /// An argument that the kernel does not use.
    None,
}

impl Argument {
    /// The arguments of the public design tools' kernels: three buffers, and two unused ones.
    pub const DEFAULT: [Self; 5] = [Self::A, Self::B, Self::C, Self::None, Self::None];
}
