//! One launch: the product of two tiles, on the instruction set at hand.

use super::{TileSize, portable};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512_vnni};
use crate::Cpu;
#[cfg(target_arch = "x86_64")]
use crate::Isa;

/// `c = clamp((a x b) >> 7, -128, 127)` for tiles in rows: `a` is (rows, depths), `b` is (depths, columns).
///
/// AMX and AVX-VNNI have no code of their own: `b` comes in rows, so that most of the time of such small products goes
/// into interleaving it, and what is left is short on any instruction.
///
/// # Panics
/// If one of them is not a tile of this size.
pub fn product(cpu: Cpu, size: TileSize, a: &[i8], b: &[i8], c: &mut [i8]) {
    let elements = size.elements();
    assert!([a.len(), b.len(), c.len()] == [elements; 3], "tiles of another size");
    match cpu.isa() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` of these kinds exists only where AVX-512 VNNI was detected; the lengths were compared above.
        Isa::Avx512Vnni | Isa::Amx => unsafe {
            match size {
                TileSize::T16 => avx512_vnni::product::<16, 4>(a, b, c),
                TileSize::T32 => avx512_vnni::product::<32, 8>(a, b, c),
                TileSize::T64 => avx512_vnni::product::<64, 16>(a, b, c),
            }
        },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` of these kinds exists only where AVX2 was detected; the lengths were compared above.
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
