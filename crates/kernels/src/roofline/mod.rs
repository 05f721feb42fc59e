//! What a core can do at most: loops that compute on registers alone, or only read. Measured times are compared to these.

use std::hint::black_box;

use crate::gemm::LineI8;
use crate::{Cpu, Isa};

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Independent sums, enough to hide the latency of any instruction used here.
const CHAINS: usize = 12;

/// Multiplies and adds bytes in registers, `rounds` times over, as the int8 kernel of this instruction set does it;
/// returns the operations done, two for each product.
pub fn int8(cpu: Cpu, rounds: usize) -> u64 {
    let products = match cpu.isa() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` of this kind exists only where the processor has tiles and the system lets this process use
        // them.
        Isa::Amx => unsafe { amx::int8(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` of this kind exists only where these parts of AVX-512 were detected.
        Isa::Avx512Vnni => unsafe { x86::int8_avx512_vnni(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` of this kind exists only where AVX2 was detected.
        Isa::Avx2 => unsafe { x86::int8_avx2(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` of this kind exists only where AVX-VNNI was detected.
        Isa::AvxVnni => unsafe { x86::int8_avx_vnni(rounds) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: a `Cpu` of this kind exists only where the dot product was detected.
        Isa::Neon => unsafe { arm::int8_neon(rounds) },
        _ => int8_reference(rounds),
    };
    2 * (products * rounds) as u64
}

/// The same for f32.
pub fn f32(cpu: Cpu, rounds: usize) -> u64 {
    let products = match cpu.isa() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as in `int8`; where there is AMX, there are these parts of AVX-512.
        Isa::Avx512Vnni | Isa::Amx => unsafe { x86::f32_avx512(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as in `int8`; FMA is detected with AVX2.
        Isa::Avx2 | Isa::AvxVnni => unsafe { x86::f32_avx2(rounds) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as in `int8`; every aarch64 processor has NEON.
        Isa::Neon => unsafe { arm::f32_neon(rounds) },
        _ => f32_reference(rounds),
    };
    2 * (products * rounds) as u64
}

/// The same for bf16, summed in f32; none where no instruction of this set multiplies it.
pub fn bf16(cpu: Cpu, rounds: usize) -> Option<u64> {
    let products: Option<usize> = match cpu.isa() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as in `int8`.
        Isa::Amx => Some(unsafe { amx::bf16(rounds) }),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: AVX-512 F comes with a `Cpu` of this kind, and its BF16 was detected just now.
        Isa::Avx512Vnni if is_x86_feature_detected!("avx512bf16") => Some(unsafe { x86::bf16_avx512(rounds) }),
        _ => None,
    };
    products.map(|products| 2 * (products * rounds) as u64)
}

/// Reads every line once, with the widest loads of this instruction set.
pub fn read(cpu: Cpu, lines: &[LineI8]) {
    match cpu.isa() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as in `f32`.
        Isa::Avx512Vnni | Isa::Amx => unsafe { x86::read_avx512(lines) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as in `int8`.
        Isa::Avx2 | Isa::AvxVnni => unsafe { x86::read_avx2(lines) },
        _ => read_reference(lines),
    }
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

fn read_reference(lines: &[LineI8]) {
    let mut sum = [0_u64; 8];
    for line in lines {
        for (sum, word) in sum.iter_mut().zip(line.0.as_chunks::<8>().0) {
            *sum ^= u64::from_ne_bytes(word.map(i8::cast_unsigned));
        }
    }
    black_box(sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted_by_the_round() {
        for cpu in Cpu::all() {
            assert_eq!((int8(cpu, 0), f32(cpu, 0)), (0, 0));
            assert_eq!(int8(cpu, 10), 10 * int8(cpu, 1));
            assert_eq!(f32(cpu, 10), 10 * f32(cpu, 1));
            assert_eq!(bf16(cpu, 10), bf16(cpu, 1).map(|operations| 10 * operations));
            assert!(int8(cpu, 1) >= f32(cpu, 1) && f32(cpu, 1) > 0);
            assert!(bf16(cpu, 1).is_some() || cpu.isa() != Isa::Amx);
        }
    }

    #[test]
    fn any_number_of_lines_is_read() {
        for cpu in Cpu::all() {
            for count in [0, 1, 3, 7, 8, 9, 17] {
                read(cpu, &vec![LineI8([7; 64]); count]);
            }
        }
    }
}
