//! Shapes of matrix products: how they are written, and what they take.

use std::fmt;
use std::str::FromStr;

use amanuensis_kernels::gemm::PANEL;

use crate::failure::Failure;

/// Deeper sums may overflow: the next product of 127 by 127 would.
const MAX_K: usize = i32::MAX as usize / (127 * 127);

/// Operations of the reference, which is slow, for one shape.
const REFERENCE_OPERATIONS: usize = 1_000_000_000;

/// Rows by depth by columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub m: usize,
    pub k: usize,
    pub n: usize,
}

impl Shape {
    fn new([m, k, n]: [usize; 3]) -> Result<Self, String> {
        match [m, k, n].contains(&0) {
            true => Err("sizes are from 1 on".to_owned()),
            false if k > MAX_K => Err(format!("sums of more than {MAX_K} products may overflow")),
            false => Ok(Self { m, k, n }),
        }
    }

    /// The shape of which all three sizes are `text`.
    pub fn square(text: &str) -> Result<Self, String> {
        Self::new([text.trim().parse().map_err(|_| "no number of 64 bits")?; 3])
    }

    /// The side of a cube; nothing for other shapes.
    pub fn side(self) -> Option<usize> {
        (self.m == self.k && self.k == self.n).then_some(self.m)
    }

    pub fn operations(self) -> f64 {
        2.0 * self.m as f64 * self.k as f64 * self.n as f64
    }

    /// Columns with what fills the last panel up.
    pub fn width(self) -> usize {
        self.n.next_multiple_of(PANEL)
    }

    /// Rows that are compared with the reference.
    pub fn rows_compared(self) -> usize {
        (REFERENCE_OPERATIONS / (2 * self.k).saturating_mul(self.n)).clamp(1, self.m)
    }

    /// Bytes of all matrices that are there at once, somewhat more than less.
    fn bytes(self) -> u128 {
        let [m, k, n, compared] = [self.m, self.k, self.n, self.rows_compared()].map(|size| size as u128);
        // Rows and panels are filled up.
        let (k, n) = (k + 64, n + 64);
        // The rows in f32 and in int8, the weights; the result in f32, once more on its way, and in int8; the reference.
        5 * m * k + n * k + 9 * m * n + 4 * compared * n
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

/// Refuses what would bring the machine to its knees.
pub fn fits(shape: Shape, available: u64) -> Result<(), Failure> {
    let gigabytes = |bytes: u128| bytes as f64 / 1e9;
    if shape.bytes() <= u128::from(available) {
        return Ok(());
    }
    let (needed, available) = (gigabytes(shape.bytes()), gigabytes(available.into()));
    Err(Failure::Failed(format!("{shape} takes {needed:.1} GB of memory, and {available:.1} GB are free")))
}

/// Bytes that can be had, where the system tells; 2 GiB where it does not.
pub fn available_memory() -> u64 {
    let told = || {
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    };
    told().unwrap_or(2 << 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_three_sizes() {
        assert_eq!("1500x512x2048".parse(), Ok(Shape { m: 1500, k: 512, n: 2048 }));
        assert_eq!(" 1x2 x3".parse(), Ok(Shape { m: 1, k: 2, n: 3 }));
        assert_eq!(Shape::square("16"), Ok(Shape { m: 16, k: 16, n: 16 }));
        assert_eq!(Shape { m: 1, k: 2, n: 3 }.to_string(), "1x2x3");
        for text in ["", "axb", "1x2", "1x2x3x4", "1x-2x3", "0x1x1", "1x1x0", "1x133145x1", "99999999999999999999x1x1"]
        {
            assert!(text.parse::<Shape>().is_err(), "{text}");
        }
        for text in ["0", "", "-1", "1.5", "133145"] {
            assert!(Shape::square(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let shape = |text: &str| text.parse::<Shape>().unwrap();
        assert!(fits(shape("1500x512x2048"), 1 << 30).is_ok());
        assert!(fits(shape("1500x512x2048"), 1 << 20).is_err());
        let most = usize::MAX;
        assert!(fits(shape(&format!("{most}x{MAX_K}x{most}")), u64::MAX).is_err());
    }
}
