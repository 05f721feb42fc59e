//! Measures how fast a processor core can compute and how fast it can read memory: the two limits of the roofline
//! model. The loops only compute on registers or only read memory. The speed of the kernels is compared with the
//! speed of these loops.

use crate::lines::LineI8;
use crate::{Cpu, Isa};

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "aarch64")]
mod arm;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Executes the int8 multiply-add instructions that the kernel of this instruction set uses, on registers only, for
/// `rounds` rounds. Returns the number of operations, two for each product: a multiplication and an addition.
pub fn int8(cpu: Cpu, rounds: usize) -> u64 {
    let products = match cpu.isa() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` with AMX exists only after AMX was detected and the system permitted its use.
        Isa::Amx => unsafe { amx::int8(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` with this set exists only after AVX-512 F, BW and VNNI were detected.
        Isa::Avx512Vnni => unsafe { x86::int8_avx512_vnni(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` with this set exists only after AVX2 was detected.
        Isa::Avx2 => unsafe { x86::int8_avx2(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` with this set exists only after AVX2 and AVX-VNNI were detected.
        Isa::AvxVnni => unsafe { x86::int8_avx_vnni(rounds) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: a `Cpu` with this set exists only after the dot-product instructions were detected.
        Isa::Neon => unsafe { arm::int8_neon(rounds) },
        _ => portable::int8(rounds),
    };
    2 * (products * rounds) as u64
}

/// As [`int8`], for f32 multiply-add instructions.
pub fn f32(cpu: Cpu, rounds: usize) -> u64 {
    let products = match cpu.isa() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` with one of these sets exists only after AVX-512 F was detected.
        Isa::Avx512Vnni | Isa::Amx => unsafe { x86::f32_avx512(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` with one of these sets exists only after AVX2 and FMA were detected.
        Isa::Avx2 | Isa::AvxVnni => unsafe { x86::f32_avx2(rounds) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: every aarch64 processor has NEON.
        Isa::Neon => unsafe { arm::f32_neon(rounds) },
        _ => portable::f32(rounds),
    };
    2 * (products * rounds) as u64
}

/// As [`int8`], for bf16 instructions that sum in f32. `None` if the machine has no such instruction.
pub fn bf16(cpu: Cpu, rounds: usize) -> Option<u64> {
    let products: Option<usize> = match cpu.isa() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` with AMX exists only after AMX was detected and the system permitted its use.
        Isa::Amx => Some(unsafe { amx::bf16(rounds) }),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` with this set exists only after AVX-512 F and BW were detected; BF16 is detected here.
        Isa::Avx512Vnni if is_x86_feature_detected!("avx512bf16") => Some(unsafe { x86::bf16_avx512(rounds) }),
        _ => None,
    };
    products.map(|products| 2 * (products * rounds) as u64)
}

/// Reads every 64-byte line once, with the widest loads of this instruction set.
pub fn read(cpu: Cpu, lines: &[LineI8]) {
    match cpu.isa() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` with one of these sets exists only after AVX-512 F was detected.
        Isa::Avx512Vnni | Isa::Amx => unsafe { x86::read_avx512(lines) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` with one of these sets exists only after AVX2 was detected.
        Isa::Avx2 | Isa::AvxVnni => unsafe { x86::read_avx2(lines) },
        _ => portable::read(lines),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_operations_is_proportional_to_the_rounds() {
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
    fn any_number_of_lines_can_be_read() {
        for cpu in Cpu::all() {
            for count in [0, 1, 3, 7, 8, 9, 17] {
                read(cpu, &vec![LineI8([7; 64]); count]);
            }
        }
    }
}
