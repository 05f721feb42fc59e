//! The roofline loops for NEON: they measure the maximum speed of the NEON instructions.

use std::arch::aarch64::{float32x4_t, int32x4_t, vdupq_n_f32, vdupq_n_s8, vdupq_n_s32, vfmaq_f32};
use std::arch::asm;
use std::hint::black_box;

use super::portable;

/// Number of independent sums. It is larger than for AVX2: NEON has more registers, and processors with four vector
/// units need more independent sums to keep all units busy.
const CHAINS: usize = 2 * portable::CHAINS;

/// Executes int8 multiply-add instructions for `rounds` rounds. Returns the number of products in one round.
#[target_feature(enable = "dotprod")]
pub(super) fn int8_neon(rounds: usize) -> usize {
    let (a, b) = (vdupq_n_s8(black_box(3)), vdupq_n_s8(black_box(5)));
    let mut total: [int32x4_t; CHAINS] = [vdupq_n_s32(0); CHAINS];
    for _ in 0..rounds {
        for total in &mut total {
            // SAFETY: the instruction reads and writes only these registers. `target_feature` guarantees that the
            // processor has it.
            unsafe {
                asm!(
                    "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
                    sum = inout(vreg) *total,
                    a = in(vreg) a,
                    b = in(vreg) b,
                    options(pure, nomem, nostack, preserves_flags),
                );
            }
        }
    }
    black_box(total);
    16 * CHAINS
}

/// Executes f32 multiply-add instructions for `rounds` rounds. Returns the number of products in one round.
#[target_feature(enable = "neon")]
pub(super) fn f32_neon(rounds: usize) -> usize {
    let a = vdupq_n_f32(black_box(0.5));
    let mut total: [float32x4_t; CHAINS] = [a; CHAINS];
    for _ in 0..rounds {
        for total in &mut total {
            // `total` must be the addend operand: `fmla` overwrites its addend, so no copy is needed.
            *total = vfmaq_f32(*total, a, a);
        }
    }
    black_box(total);
    4 * CHAINS
}
