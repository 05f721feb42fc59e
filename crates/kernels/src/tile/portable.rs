//! The product of two tiles in plain Rust.

use super::contract::shifted;

/// As [`super::product()`], for tiles of `T` by `T`.
pub(super) fn product<const T: usize>(a: &[i8], b: &[i8], c: &mut [i8]) {
    for (a, c) in a.chunks_exact(T).zip(c.chunks_exact_mut(T)) {
        let mut sums = [0; T];
        for (a, b) in a.iter().zip(b.chunks_exact(T)) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += i32::from(*a) * i32::from(*b);
            }
        }
        c.iter_mut().zip(sums).for_each(|(c, sum)| *c = shifted(sum));
    }
}
