//! The product of two tiles as one launch of the NPU kernel computes it, with the instruction set of a [`Cpu`].

use super::{TileSize, portable};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512_vnni};
use crate::Cpu;
#[cfg(target_arch = "x86_64")]
use crate::Isa;

/// Computes `c = clamp((a x b) >> 7, -128, 127)` for row-major tiles: `a` is (rows, k), `b` is (k, columns), `c` is
/// (rows, columns).
///
/// AMX uses the code for AVX-512, and AVX-VNNI uses the code for AVX2. Such small products spend most of their time
/// on interleaving the rows of `b`, so faster multiply instructions would gain little.
///
/// # Panics
///
/// If `a`, `b` or `c` does not have as many elements as a tile of this size.
pub fn product(cpu: Cpu, size: TileSize, a: &[i8], b: &[i8], c: &mut [i8]) {
    let elements = size.elements();
    assert!([a.len(), b.len(), c.len()] == [elements; 3], "a, b and c must have {elements} elements");
    match cpu.isa() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` with one of these sets exists only after AVX-512 F, BW and VNNI were detected. The lengths
        // were checked above.
        Isa::Avx512Vnni | Isa::Amx => unsafe {
            match size {
                TileSize::T16 => avx512_vnni::product::<16, 4>(a, b, c),
                TileSize::T32 => avx512_vnni::product::<32, 8>(a, b, c),
                TileSize::T64 => avx512_vnni::product::<64, 16>(a, b, c),
            }
        },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` with one of these sets exists only after AVX2 was detected. The lengths were checked above.
        Isa::Avx2 | Isa::AvxVnni => unsafe {
            match size {
                TileSize::T16 => avx2::product::<16, 8>(a, b, c),
                TileSize::T32 => avx2::product::<32, 16>(a, b, c),
                TileSize::T64 => avx2::product::<64, 32>(a, b, c),
            }
        },
        _ => match size {
            TileSize::T16 => portable::product::<16>(a, b, c),
            TileSize::T32 => portable::product::<32>(a, b, c),
            TileSize::T64 => portable::product::<64>(a, b, c),
        },
    }
}
