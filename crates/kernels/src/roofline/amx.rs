//! The roofline loops for AMX: they measure the maximum speed of the AMX instructions.

use std::arch::asm;

/// Number of tiles of sums. Together with the two factors they use all eight tile registers. This many independent
/// sums hide the latency of a product: it takes 52 cycles, and one can start every 16 cycles.
const TILES: usize = 6;
/// Number of int8 products that one instruction computes: 16 rows by 16 columns by 64 bytes. A bf16 instruction
/// computes half as many.
const INT8_PRODUCTS: usize = 16 * 16 * 64;

/// The operand of `ldtilecfg`. It configures eight tiles of 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

/// The contents of a whole tile: 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Tile([u16; 512]);

/// Executes `$instruction` for each tile of sums, `$rounds` times. Both factors are filled with the two-byte pattern
/// `$value`.
macro_rules! repeat {
    ($rounds:ident, $value:literal, $instruction:literal) => {{
        let (mut bytes_per_row, mut rows) = ([0; 16], [0; 16]);
        bytes_per_row[..8].fill(64);
        rows[..8].fill(16);
        let configuration =
            Configuration { palette: 1, start_row: 0, reserved: [0; 14], bytes_per_row, rows };
        let factor = Tile([$value; 512]);
        // SAFETY: the contract of the calling function guarantees that AMX can be used. The tiles are configured
        // first and released last in the same asm block. The loads read one whole `Tile`. Only registers are written;
        // all of them are declared.
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

/// Executes int8 tile multiplications for `rounds` rounds. Returns the number of products in one round.
///
/// # Safety
///
/// The processor has AMX-INT8, and the operating system permits this process to use it.
pub(super) unsafe fn int8(rounds: usize) -> usize {
    // The two-byte pattern is the int8 values 3 and 5.
    repeat!(rounds, 0x0503, "tdpbssd");
    TILES * INT8_PRODUCTS
}

/// Executes bf16 tile multiplications for `rounds` rounds. Returns the number of products in one round.
///
/// # Safety
///
/// The processor has AMX-BF16, and the operating system permits this process to use it.
pub(super) unsafe fn bf16(rounds: usize) -> usize {
    // The two-byte pattern is the bf16 number 0.5.
    repeat!(rounds, 0x3f00, "tdpbf16ps");
    TILES * INT8_PRODUCTS / 2
}
