//! Reference implementations of both contracts for a matrix product, in plain Rust: tile-exact (as an NPU computes
//! it) and full (exact sums).

use super::contract::{TileSize, clamped, shifted};

/// Computes `A x B` by the tile-exact contract of the parent module. `a` is `(m, k)`, `b` is `(k, n)`, the result is
/// `(m, n)`.
///
/// # Panics
///
/// If the lengths do not agree with `[m, k, n]`.
pub fn tile_exact_reference(a: &[i8], b: &[i8], [m, k, n]: [usize; 3], size: TileSize) -> Vec<i8> {
    check(a, b, [m, k, n]);
    // Padding m and n would only add zeros that are cut off again, so m and n are not padded here. Only the division
    // of k into tiles affects the result.
    let mut c = Vec::with_capacity(m * n);
    for row in 0..m {
        let mut sums = vec![0; n];
        for depth in (0..k).step_by(size.side()) {
            let depths = depth..k.min(depth + size.side());
            let launch = row_of_sums(&a[row * k..][depths.clone()], &b[depths.start * n..depths.end * n], n);
            sums.iter_mut().zip(launch).for_each(|(sum, launch)| *sum += i32::from(shifted(launch)));
        }
        c.extend(sums.into_iter().map(clamped));
    }
    c
}

/// Computes `A x B` by the full contract: exact i32 sums. `a` is `(m, k)`, `b` is `(k, n)`, the result is `(m, n)`.
///
/// # Panics
///
/// If the lengths do not agree with `[m, k, n]`.
pub fn full_reference(a: &[i8], b: &[i8], [m, k, n]: [usize; 3]) -> Vec<i32> {
    check(a, b, [m, k, n]);
    (0..m).flat_map(|row| row_of_sums(&a[row * k..][..k], b, n)).collect()
}

/// Computes one row of A times all of B. The rows of B have `n` elements.
fn row_of_sums(a: &[i8], b: &[i8], n: usize) -> Vec<i32> {
    let mut sums = vec![0; n];
    for (depth, a) in a.iter().enumerate() {
        let b = &b[depth * n..][..n];
        sums.iter_mut().zip(b).for_each(|(sum, b)| *sum += i32::from(*a) * i32::from(*b));
    }
    sums
}

fn check(a: &[i8], b: &[i8], [m, k, n]: [usize; 3]) {
    assert!(
        a.len() == m * k && b.len() == k * n,
        "lengths {} and {} do not agree with m, k, n = {m}, {k}, {n}",
        a.len(),
        b.len()
    );
}
