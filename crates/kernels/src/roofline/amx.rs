//! The loops for the tiles of AMX.

use std::arch::asm;

/// Tiles of sums: with the two that are multiplied, all eight. A product takes 16 cycles to start and 52 to finish.
const TILES: usize = 6;
/// Products of bytes in one instruction: 16 rows by 16 columns by 64 bytes; of bf16, half of that.
const BYTES: usize = 16 * 16 * 64;

/// What `ldtilecfg` loads: eight tiles of 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

/// A whole tile.
#[repr(C, align(64))]
struct Tile([u16; 512]);

/// Repeats a product into each tile of sums. Both factors hold `$value` in every two bytes.
macro_rules! repeat {
    ($rounds:ident, $value:literal, $instruction:literal) => {{
        let (mut bytes_per_row, mut rows) = ([0; 16], [0; 16]);
        bytes_per_row[..8].fill(64);
        rows[..8].fill(16);
        let configuration =
            Configuration { palette: 1, start_row: 0, reserved: [0; 14], bytes_per_row, rows };
        let factor = Tile([$value; 512]);
        // SAFETY: by the caller's contract there are tiles, and this process may use them. They are configured first and
        // released last, both factors are a whole tile, and nothing is written but registers.
        unsafe {
            asm!(
                "ldtilecfg [{configuration}]",
                "tileloadd tmm6, [{factor} + {line}]",
                "tileloadd tmm7, [{factor} + {line}]",
                "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", "tilezero tmm4", "tilezero tmm5",
                "test {rounds}, {rounds}",
                "jz 3f",
                "2:",
                concat!($instruction, " tmm0, tmm6, tmm7"),
                concat!($instruction, " tmm1, tmm6, tmm7"),
                concat!($instruction, " tmm2, tmm6, tmm7"),
                concat!($instruction, " tmm3, tmm6, tmm7"),
                concat!($instruction, " tmm4, tmm6, tmm7"),
                concat!($instruction, " tmm5, tmm6, tmm7"),
                "dec {rounds}",
                "jnz 2b",
                "3:",
                "tilerelease",
                configuration = in(reg) &raw const configuration,
                factor = in(reg) &raw const factor,
                line = in(reg) 64_usize,
                rounds = inout(reg) $rounds => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, readonly),
            );
        }
    }};
}

/// The products of a round.
///
/// # Safety
/// The processor has tiles with int8 products, and the system lets this process use them.
pub(super) unsafe fn int8(rounds: usize) -> usize {
    // The bytes 3 and 5.
    repeat!(rounds, 0x0503, "tdpbssd");
    TILES * BYTES
}

/// The same for bf16.
///
/// # Safety
/// As for [`int8`], with bf16 products.
pub(super) unsafe fn bf16(rounds: usize) -> usize {
    // The bits of 0.5.
    repeat!(rounds, 0x3f00, "tdpbf16ps");
    TILES * BYTES / 2
}
