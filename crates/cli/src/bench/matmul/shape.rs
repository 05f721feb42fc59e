//! The shape of a matrix product, and the memory it needs.

use std::fmt;
use std::str::FromStr;

use amanuensis_kernels::gemm::PANEL;

use crate::failure::Failure;

/// Maximum of `k`, the number of products in a sum. With a larger `k`, a sum of products of 127 x 127 could overflow
/// an i32.
const MAX_K: usize = i32::MAX as usize / (127 * 127);

/// Limits how many rows are compared with the slow reference kernel: for one shape, this kernel does at most this
/// many operations.
const REFERENCE_OPERATIONS: usize = 1_000_000_000;

/// The shape of a product of two matrices, `(m, k) x (k, n)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub m: usize,
    pub k: usize,
    pub n: usize,
}

impl Shape {
    fn new([m, k, n]: [usize; 3]) -> Result<Self, String> {
        match [m, k, n].contains(&0) {
            true => Err("sizes must be at least 1".to_owned()),
            false if k > MAX_K => Err(format!("sums of more than {MAX_K} products may overflow")),
            false => Ok(Self { m, k, n }),
        }
    }

    /// Parses the size of square matrices: `512` means the shape `512x512x512`.
    pub fn cube(text: &str) -> Result<Self, String> {
        Self::new([text.trim().parse().map_err(|_| "not an integer of 64 bits")?; 3])
    }

    /// The size `m` if both matrices are square (m = k = n), or `None` for other shapes.
    pub fn cube_size(self) -> Option<usize> {
        (self.m == self.k && self.k == self.n).then_some(self.m)
    }

    /// The number of multiplications and additions in the product.
    pub fn operations(self) -> f64 {
        2.0 * self.m as f64 * self.k as f64 * self.n as f64
    }

    /// The number of columns `n`, rounded up to complete panels (groups of output channels).
    pub fn padded_n(self) -> usize {
        self.n.next_multiple_of(PANEL)
    }

    /// The number of rows that are checked for correctness, by comparing their sums with those of the reference
    /// kernel.
    pub fn rows_compared(self) -> usize {
        (REFERENCE_OPERATIONS / (2 * self.k).saturating_mul(self.n)).clamp(1, self.m)
    }

    /// An upper bound, in bytes, for the memory of all matrices of the product together.
    fn bytes(self) -> u128 {
        let [m, k, n, compared] = [self.m, self.k, self.n, self.rows_compared()].map(|size| size as u128);
        // Add the largest possible padding of rows (`k`) and of panels, which are groups of columns (`n`).
        let (k, n) = (k + 64, n + 64);
        let activations_f32_and_int8 = 5 * m * k;
        let weights = n * k;
        // 9 bytes per result: an f32 result, an f32 value before it is quantised, and an int8 result.
        let results = 9 * m * n;
        let reference = 4 * compared * n;
        activations_f32_and_int8 + weights + results + reference
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes: Result<Vec<usize>, _> = text.split('x').map(|size| size.trim().parse()).collect();
        match sizes.as_deref() {
            Ok(&[m, k, n]) => Self::new([m, k, n]),
            _ => Err("a shape is three numbers, as in 1500x512x2048".to_owned()),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}x{}x{}", self.m, self.k, self.n))
    }
}

/// Returns an error if a product of this shape needs more than `available` bytes of memory.
pub fn check_memory(shape: Shape, available: u64) -> Result<(), Failure> {
    let gigabytes = |bytes: u128| bytes as f64 / 1e9;
    if shape.bytes() <= u128::from(available) {
        return Ok(());
    }
    let (needed, available) = (gigabytes(shape.bytes()), gigabytes(available.into()));
    Err(Failure::Failed(format!("{shape} needs {needed:.1} GB of memory, but only {available:.1} GB are available")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_three_positive_sizes() {
        assert_eq!("1500x512x2048".parse(), Ok(Shape { m: 1500, k: 512, n: 2048 }));
        assert_eq!(" 1x2 x3".parse(), Ok(Shape { m: 1, k: 2, n: 3 }));
        assert_eq!(Shape::cube("16"), Ok(Shape { m: 16, k: 16, n: 16 }));
        assert_eq!(Shape { m: 1, k: 2, n: 3 }.to_string(), "1x2x3");
        for text in ["", "axb", "1x2", "1x2x3x4", "1x-2x3", "0x1x1", "1x1x0", "1x133145x1", "99999999999999999999x1x1"]
        {
            assert!(text.parse::<Shape>().is_err(), "{text}");
        }
        for text in ["0", "", "-1", "1.5", "133145"] {
            assert!(Shape::cube(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_shape_that_exceeds_the_memory_is_rejected() {
        let shape = |text: &str| text.parse::<Shape>().unwrap();
        assert!(check_memory(shape("1500x512x2048"), 1 << 30).is_ok());
        assert!(check_memory(shape("1500x512x2048"), 1 << 20).is_err());
        let max = usize::MAX;
        assert!(check_memory(shape(&format!("{max}x{MAX_K}x{max}")), u64::MAX).is_err());
    }
}
