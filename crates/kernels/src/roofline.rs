//! What a core can do at most: loops that compute on registers alone, or only read. Measured times are compared to these.

use std::hint::black_box;

use crate::gemm::LineI8;
use crate::{Cpu, Isa};

/// Independent sums, enough to hide the latency of any instruction used here.
const CHAINS: usize = 12;

/// Multiplies and adds bytes in registers, `rounds` times over, as the int8 kernel of this instruction set does it;
/// returns the operations done, two for each product.
pub fn int8(cpu: Cpu, rounds: usize) -> u64 {
    let bytes = match cpu.isa() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` of this kind exists only where these parts of AVX-512 were detected.
        Isa::Avx512Vnni | Isa::Amx => unsafe { x86::int8_avx512_vnni(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` of this kind exists only where AVX-VNNI was detected.
        Isa::AvxVnni => unsafe { x86::int8_avx_vnni(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` of this kind exists only where AVX2 was detected.
        Isa::Avx2 => unsafe { x86::int8_avx2(rounds) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: a `Cpu` of this kind exists only where the dot product was detected.
        Isa::Neon => unsafe { arm::int8_neon(rounds) },
        _ => int8_reference(rounds),
    };
    2 * (bytes * rounds) as u64
}

/// The same for f32.
pub fn f32(cpu: Cpu, rounds: usize) -> u64 {
    let lanes = match cpu.isa() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as in `int8`.
        Isa::Avx512Vnni | Isa::Amx => unsafe { x86::f32_avx512(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as in `int8`; FMA is detected with AVX2.
        Isa::Avx2 | Isa::AvxVnni => unsafe { x86::f32_avx2(rounds) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as in `int8`; every aarch64 processor has NEON.
        Isa::Neon => unsafe { arm::f32_neon(rounds) },
        _ => f32_reference(rounds),
    };
    2 * (lanes * rounds) as u64
}

/// Reads every line once.
pub fn read(lines: &[LineI8]) {
    let mut sum = [0_u64; 8];
    for line in lines {
        for (sum, word) in sum.iter_mut().zip(line.0.as_chunks::<8>().0) {
            *sum ^= u64::from_ne_bytes(word.map(i8::cast_unsigned));
        }
    }
    black_box(sum);
}

fn int8_reference(rounds: usize) -> usize {
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

fn f32_reference(rounds: usize) -> usize {
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

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256, __m256i, __m512, __m512i, _mm256_add_epi8, _mm256_add_epi32, _mm256_dpbusd_avx_epi32, _mm256_fmadd_ps,
        _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_ps, _mm256_sign_epi8,
        _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_set1_epi8, _mm512_set1_ps,
    };
    use std::hint::black_box;

    use super::CHAINS;

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn int8_avx512_vnni(rounds: usize) -> usize {
        let (a, b) = (_mm512_set1_epi8(black_box(3)), _mm512_set1_epi8(black_box(5)));
        let mut total: [__m512i; CHAINS] = [a; CHAINS];
        for _ in 0..rounds {
            for total in &mut total {
                *total = _mm512_dpbusd_epi32(*total, a, b);
            }
        }
        black_box(total);
        64 * CHAINS
    }

    #[target_feature(enable = "avx2,avxvnni")]
    pub(super) fn int8_avx_vnni(rounds: usize) -> usize {
        let (a, b) = (_mm256_set1_epi8(black_box(3)), _mm256_set1_epi8(black_box(5)));
        let mut total: [__m256i; CHAINS] = [a; CHAINS];
        for _ in 0..rounds {
            for total in &mut total {
                *total = _mm256_dpbusd_avx_epi32(*total, a, b);
            }
        }
        black_box(total);
        32 * CHAINS
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn int8_avx2(rounds: usize) -> usize {
        let (ones, step, b) = (_mm256_set1_epi16(1), _mm256_set1_epi8(1), _mm256_set1_epi8(black_box(5)));
        let mut a = b;
        let mut total: [__m256i; CHAINS] = [a; CHAINS];
        for _ in 0..rounds {
            // Another factor each round, or the product would be taken out of the loop; another sign for each sum.
            a = _mm256_add_epi8(a, step);
            for total in &mut total {
                let pairs = _mm256_maddubs_epi16(b, _mm256_sign_epi8(a, *total));
                *total = _mm256_add_epi32(*total, _mm256_madd_epi16(pairs, ones));
            }
        }
        black_box(total);
        32 * CHAINS
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn f32_avx512(rounds: usize) -> usize {
        let a = _mm512_set1_ps(black_box(0.5));
        let mut total: [__m512; CHAINS] = [a; CHAINS];
        for _ in 0..rounds {
            for total in &mut total {
                *total = _mm512_fmadd_ps(*total, a, a);
            }
        }
        black_box(total);
        16 * CHAINS
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn f32_avx2(rounds: usize) -> usize {
        let a = _mm256_set1_ps(black_box(0.5));
        let mut total: [__m256; CHAINS] = [a; CHAINS];
        for _ in 0..rounds {
            for total in &mut total {
                *total = _mm256_fmadd_ps(*total, a, a);
            }
        }
        black_box(total);
        8 * CHAINS
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::{float32x4_t, int32x4_t, vdupq_n_f32, vdupq_n_s8, vdupq_n_s32, vfmaq_f32};
    use std::arch::asm;
    use std::hint::black_box;

    /// There are registers for more than on x86, and processors with four units want them.
    const CHAINS: usize = 2 * super::CHAINS;

    #[target_feature(enable = "dotprod")]
    pub(super) fn int8_neon(rounds: usize) -> usize {
        let (a, b) = (vdupq_n_s8(black_box(3)), vdupq_n_s8(black_box(5)));
        let mut total: [int32x4_t; CHAINS] = [vdupq_n_s32(0); CHAINS];
        for _ in 0..rounds {
            for total in &mut total {
                // SAFETY: the instruction reads and writes these registers alone; who calls this has the dot product.
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

    #[target_feature(enable = "neon")]
    pub(super) fn f32_neon(rounds: usize) -> usize {
        let a = vdupq_n_f32(black_box(0.5));
        let mut total: [float32x4_t; CHAINS] = [a; CHAINS];
        for _ in 0..rounds {
            for total in &mut total {
                // Into the sum: the instruction overwrites what it adds to.
                *total = vfmaq_f32(*total, a, a);
            }
        }
        black_box(total);
        4 * CHAINS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted_by_the_round() {
        for cpu in Cpu::all() {
            assert_eq!(int8(cpu, 10), 10 * int8(cpu, 1));
            assert_eq!(f32(cpu, 10), 10 * f32(cpu, 1));
            assert!(int8(cpu, 1) >= f32(cpu, 1) && f32(cpu, 1) > 0);
        }
        read(&[LineI8([7; 64]); 3]);
    }
}
