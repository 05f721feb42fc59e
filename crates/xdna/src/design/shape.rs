//! The parts of a launch (one run of an NPU's kernel): the shape of its product, the memory layout of `B`, the type
//! of the result, and the arguments.

/// The shape of a matrix product `C = A x B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Number of rows of `A` and `C`.
    pub m: usize,
    /// The depth: number of columns of `A` and of rows of `B`.
    pub k: usize,
    /// Number of columns of `B` and `C`.
    pub n: usize,
}

impl Shape {
    /// The shape of an `(m, k)` matrix times a `(k, n)` matrix.
    pub fn new(m: usize, k: usize, n: usize) -> Self {
        Self { m, k, n }
    }

    /// Number of arithmetic operations: two for each multiply-accumulate.
    pub fn operations(self) -> u64 {
        2 * self.m as u64 * self.k as u64 * self.n as u64
    }
}

/// Memory layout of the right matrix `B`. The left matrix `A` and the result `C` are always row-major.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `(k, n)`: row-major.
    #[default]
    RowMajor,
    /// `(n, k)`: column-major, as weights are stored.
    ColumnMajor,
}

/// The type of the elements of the result `C`, and how they are computed from the exact sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub enum Output {
    /// Exact i32 sums over the whole depth: the full contract.
    #[default]
    #[serde(rename = "int32")]
    Int32,
    /// int8 results of a single tile, computed as `clamp(sum >> 7, -128, 127)` from the exact sum: the tile-exact
    /// contract.
    #[serde(rename = "int8")]
    Int8,
}

impl Output {
    /// Size of a result element in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::Int32 => 4,
            Self::Int8 => 1,
        }
    }
}

/// What a buffer argument of a launch (one run of an NPU's kernel) contains.
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
    /// The arguments of kernels that are built with the public design tools: three matrices, and two unused
    /// arguments.
    pub const DEFAULT: [Self; 5] = [Self::A, Self::B, Self::C, Self::None, Self::None];
}
