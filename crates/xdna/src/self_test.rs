//! Computes a product on a device, compares it with the host's result bit for bit, and measures the time.

use std::time::{Duration, Instant};

use amanuensis_kernels::tile::full_reference;

use crate::design::Shape;
use crate::error::Error;
use crate::gemm::Gemm;
use crate::launch::Counters;

/// The result of a self-test of a device.
#[derive(Clone, Copy, Debug)]
pub struct SelfTest {
    /// The shape of the product. It is slightly larger than a launch (one run of the kernel) in each dimension, so
    /// that the test covers the padding and the addition of blocks.
    pub shape: Shape,
    /// Number of elements that differ from the host's result.
    pub wrong: usize,
    /// Counts of what the device was asked to do for the first of the three products. The upload of the weights is
    /// not included.
    pub counters: Counters,
    /// The time of the fastest of the three products, which are all equal.
    pub time: Duration,
}

impl SelfTest {
    /// Returns [`Error::Wrong`] if an element of the product differs from the host's result.
    pub fn verdict(&self) -> Result<(), Error> {
        let elements = self.shape.m * self.shape.n;
        if self.wrong == 0 { Ok(()) } else { Err(Error::Wrong { wrong: self.wrong, elements }) }
    }
}

/// Computes the same product three times on a device, and compares the third result with the host's.
pub fn self_test(gemm: &mut Gemm) -> Result<SelfTest, Error> {
    let launch = gemm.session().design().launch;
    let shape = Shape::new(launch.m + 5, launch.k + 3, launch.n + 7);
    let Shape { m, k, n } = shape;
    let (a, b) = (noise(m * k, 1), noise(k * n, 2));
    let weights = gemm.prepare((n, k), &|column, out| {
        for (depth, out) in out.iter_mut().enumerate() {
            *out = b[depth * n + column];
        }
    })?;
    let mut sums = vec![0; m * n];
    let before = gemm.counters();
    let mut times = Vec::new();
    let mut counters = before;
    for _ in 0..3 {
        let start = Instant::now();
        gemm.multiply(m, &|row| &a[row * k..][..k], &weights, &mut sums)?;
        times.push(start.elapsed());
        if times.len() == 1 {
            counters = gemm.counters();
        }
    }
    let expected = full_reference(&a, &b, [m, k, n]);
    let wrong = sums.iter().zip(&expected).filter(|(sum, expected)| sum != expected).count();
    let time = times.into_iter().min().unwrap_or_default();
    Ok(SelfTest { shape, wrong, counters: difference(counters, before), time })
}

fn difference(after: Counters, before: Counters) -> Counters {
    Counters {
        syncs: after.syncs - before.syncs,
        bytes_to_device: after.bytes_to_device - before.bytes_to_device,
        bytes_from_device: after.bytes_from_device - before.bytes_from_device,
        submissions: after.submissions - before.submissions,
        launches: after.launches - before.launches,
        waits: after.waits - before.waits,
    }
}

/// Pseudo-random int8 values.
fn noise(length: usize, mut seed: u32) -> Vec<i8> {
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as i8
    };
    (0..length).map(|_| next()).collect()
}
