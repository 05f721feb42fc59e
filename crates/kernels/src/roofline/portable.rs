//! The roofline loops in plain Rust, for instruction sets that have no loop of their own.

use std::hint::black_box;

use crate::lines::LineI8;

/// Number of independent sums in a loop, enough to hide the latency of every instruction used in these loops.
pub(super) const CHAINS: usize = 12;

/// Computes int8 products in plain Rust for `rounds` rounds. Returns the number of products in one round.
pub(super) fn int8(rounds: usize) -> usize {
    let mut total = [0_i32; 16 * CHAINS];
    for round in 0..rounds {
        let value = black_box(round as i8);
        for total in &mut total {
            *total += i32::from(value) * i32::from(value);
        }
    }
    black_box(total);
    16 * CHAINS
}

/// Computes f32 products in plain Rust for `rounds` rounds. Returns the number of products in one round.
pub(super) fn f32(rounds: usize) -> usize {
    let mut total = [0.0_f32; 4 * CHAINS];
    for _ in 0..rounds {
        let value = black_box(0.5_f32);
        for total in &mut total {
            *total = *total * value + value;
        }
    }
    black_box(total);
    4 * CHAINS
}

/// Reads every 64-byte line once.
pub(super) fn read(lines: &[LineI8]) {
    let mut sum = [0_u64; 8];
    for line in lines {
        for (sum, word) in sum.iter_mut().zip(line.0.as_chunks::<8>().0) {
            *sum ^= u64::from_ne_bytes(word.map(i8::cast_unsigned));
        }
    }
    black_box(sum);
}
