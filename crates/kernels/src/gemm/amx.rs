//! AMX: tiles of 16 rows by 64 bytes, multiplied by one instruction each.
//!
//! A panel's line is a row of a tile as it is: sixteen lines are the tile of 64 depths (32 in bf16) by 16 channels, and
//! sixteen rows of activations are the other. Two tiles of rows by two panels keep their four tiles of sums over the
//! whole depth, so that every tile that is loaded is used twice.
//!
//! The compiler knows nothing of tiles: from the zeroing of the sums to their storing, a block is one piece of assembly.
//! The configuration (how many rows a tile has) is a register that the compiler never touches; it lasts as long as a
//! value of [`Tiles`]. f32 products, and int8 ones of very few rows, are left to AVX-512.

use std::arch::asm;

use super::avx512_vnni::AVX512_VNNI;
use super::{Kernel, LineBf16, LineI8, PANEL, PanelsF32, RowsBf16, RowsF32, RowsI8, RowsOf, RowsU8};
use crate::pool::scratch_of;
use crate::{Aligned, Cpu, Isa, Number};

/// Held only by code that has seen a [`Cpu`] of this kind.
struct Amx(());

static AMX: Amx = Amx(());

pub(super) fn kernel(cpu: Cpu) -> Option<&'static dyn Kernel> {
    (cpu.isa() == Isa::Amx).then_some(&AMX)
}

/// Rows of a tile, of activations and of sums.
const TILE_ROWS: usize = 16;
/// Rows of a block.
const BLOCK_ROWS: usize = 2 * TILE_ROWS;
/// Tiles along the depth of a piece: two tiles of rows of a piece fill a third of the innermost cache. What is deeper is
/// multiplied in pieces, whose sums wait in the next cache, rather than to fetch the rows from there for every panel.
const DEEPEST: usize = 8;
/// Fewer rows than this are multiplied faster by AVX-512.
const FEW_ROWS: usize = 3;

impl Kernel for Amx {
    fn isa(&self) -> Isa {
        Isa::Amx
    }

    fn int8(&self, a: RowsI8<'_>, b: &[LineI8], sums: &mut [i32]) {
        if a.rows < FEW_ROWS {
            return AVX512_VNNI.int8(a, b, sums);
        }
        let panels = a.check(b, sums);
        multiply::<Signed, _, _>(&a, b, panels, sums.as_mut_ptr().cast());
    }

    fn uint8(&self, a: RowsU8<'_>, b: &[LineI8], sums: &mut [i32]) {
        if a.rows < FEW_ROWS {
            return AVX512_VNNI.uint8(a, b, sums);
        }
        let panels = a.check(b, sums);
        multiply::<Unsigned, _, _>(&a, b, panels, sums.as_mut_ptr().cast());
    }

    fn bf16(&self, a: RowsBf16<'_>, b: &[LineBf16], out: &mut [f32]) {
        let panels = a.check(b, out);
        multiply::<Bf16, _, _>(&a, b, panels, out.as_mut_ptr().cast());
    }

    fn f32(&self, a: RowsF32<'_>, b: PanelsF32<'_>, out: &mut [f32]) {
        AVX512_VNNI.f32(a, b, out);
    }

    fn int8_by_groups(
        &self,
        a: RowsI8<'_>,
        b: &[LineI8],
        sums: &mut Aligned<i32>,
        each: &mut dyn FnMut(usize, &[i32]),
    ) {
        if a.rows < FEW_ROWS {
            return AVX512_VNNI.int8_by_groups(a, b, sums, each);
        }
        by_groups::<Signed, _, _, _>(&a, b, 2, sums, each);
    }

    fn bf16_by_groups(
        &self,
        a: RowsBf16<'_>,
        b: &[LineBf16],
        sums: &mut Aligned<f32>,
        each: &mut dyn FnMut(usize, &[f32]),
    ) {
        // A group of attention's scores takes few steps: more panels make calling worth while.
        by_groups::<Bf16, _, _, _>(&a, b, 4, sums, each);
    }
}

/// One block of rows times all panels, whose sums are handed on in groups of `together` panels, an even number.
fn by_groups<D: Dot, T, L, S: Number>(
    a: &RowsOf<'_, T>,
    b: &[L],
    together: usize,
    sums: &mut Aligned<S>,
    each: &mut dyn FnMut(usize, &[S]),
) {
    let panels = a.panels_of(b);
    assert!(a.rows <= BLOCK_ROWS, "more rows than a block has");
    if panels == 0 {
        return;
    }
    let steps = a.lines() / TILE_ROWS;
    let pieces = if a.rows > TILE_ROWS { steps.div_ceil(DEEPEST).max(1) } else { 1 };
    let group = together * PANEL * a.rows;
    // Groups between two pieces wait all at once, else two take turns.
    let slots = if pieces == 1 { 2 } else { panels.div_ceil(together) };
    let sums = scratch_of(sums, slots * group);
    let tiles = tiles_for(a.rows);
    for piece in 0..pieces {
        let (first, end) = (steps * piece / pieces, steps * (piece + 1) / pieces);
        for (index, panel) in (0..panels).step_by(together).enumerate() {
            let width = together.min(panels - panel) * PANEL;
            let out = &mut sums[index % slots * group..][..group];
            for inner in (panel..panels.min(panel + together)).step_by(2) {
                // SAFETY: the group has room for the sums of all its panels.
                let out = unsafe { out.as_mut_ptr().add((inner - panel) * PANEL) };
                let block = Block::new(a, &b[inner * a.lines()..], out.cast(), width);
                // SAFETY: `a` and `b` were checked for these panels and all steps, the group has room for the sums.
                unsafe { tiles.multiply::<D>(block.piece(first, end), a.rows, 2.min(panels - inner)) };
            }
            // The sums of a group are handed on while the tiles of the next are at work, whose instructions come first.
            if piece + 1 == pieces && index > 0 {
                each(panel - together, &sums[(index - 1) % slots * group..][..group]);
            }
        }
    }
    drop(tiles);
    let last = panels.div_ceil(together) - 1;
    let rest = panels - last * together;
    each(last * together, &sums[last % slots * group..][..a.rows * rest * PANEL]);
}

/// All rows times all panels; `out` is `(a.rows, panels * 16)`, four bytes an element. The callers have checked that the
/// lengths agree.
fn multiply<D: Dot, T, L>(a: &RowsOf<'_, T>, b: &[L], panels: usize, out: *mut u8) {
    let width = panels * PANEL;
    for row in (0..a.rows).step_by(BLOCK_ROWS) {
        let rows = BLOCK_ROWS.min(a.rows - row);
        let (a, tiles) = (a.slice(row, rows), tiles_for(rows));
        for panel in (0..panels).step_by(2) {
            // SAFETY: by the callers' check, these are elements of `out`.
            let out = unsafe { out.add((row * width + panel * PANEL) * SUM_BYTES) };
            let block = Block::new(&a, &b[panel * a.lines()..], out, width);
            // SAFETY: by the callers' check, `a` has these rows, `b` these panels and `out` their sums.
            unsafe { tiles.multiply::<D>(block, rows, 2.min(panels - panel)) };
        }
    }
}

/// Bytes of a sum, and of a tile.
const SUM_BYTES: usize = 4;
const TILE_BYTES: usize = 1024;

/// What a piece of assembly works on.
#[derive(Clone, Copy)]
struct Block {
    /// The first row, and bytes from one row to the next.
    a: *const u8,
    stride: usize,
    /// The first panel; the second follows it.
    b: *const u8,
    /// Bytes of a panel.
    panel: usize,
    /// Tiles along the depth, at least one.
    steps: usize,
    /// Whether to add to the sums that are there.
    add: bool,
    /// The first sum, and bytes from one row of sums to the next.
    out: *mut u8,
    out_stride: usize,
}

impl Block {
    /// `width` is that of the rows of sums.
    fn new<T, L>(a: &RowsOf<'_, T>, b: &[L], out: *mut u8, width: usize) -> Self {
        Self {
            a: a.data.as_ptr().cast(),
            stride: a.stride * size_of::<T>(),
            b: b.as_ptr().cast(),
            panel: a.lines() * TILE_BYTES / TILE_ROWS,
            steps: a.lines() / TILE_ROWS,
            add: false,
            out,
            out_stride: width * SUM_BYTES,
        }
    }

    /// The steps from `first` to `end`, added to those before.
    fn piece(self, first: usize, end: usize) -> Self {
        Self {
            a: self.a.wrapping_add(first * TILE_BYTES / TILE_ROWS),
            b: self.b.wrapping_add(first * TILE_BYTES),
            steps: end - first,
            add: first > 0,
            ..self
        }
    }
}

/// The configuration of the tiles, for as long as this value lives.
struct Tiles(());

/// Tiles for a block of `rows` rows. Called by [`Amx`] alone.
fn tiles_for(rows: usize) -> Tiles {
    #[repr(C, align(64))]
    struct Configuration {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        bytes_per_row: [u16; 16],
        rows: [u8; 16],
    }
    let first = rows.min(TILE_ROWS);
    // A tile has at least one row, also where the block ends before it.
    let second = (rows - first).max(1);
    let (mut bytes_per_row, mut tile_rows) = ([0; 16], [0; 16]);
    bytes_per_row[..8].fill(64);
    tile_rows[..8]
        .copy_from_slice(&[first, first, second, second, first, second, TILE_ROWS, TILE_ROWS].map(|n| n as u8));
    let configuration = Configuration { palette: 1, start_row: 0, reserved: [0; 14], bytes_per_row, rows: tile_rows };
    // SAFETY: an `Amx` is only reached through `kernel`, where it was proved that the processor has tiles and the system
    // lets this process use them. The block reads memory, so the configuration is written before it.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly, preserves_flags)) };
    Tiles(())
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: whoever has configured tiles may release them.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags)) };
    }
}

impl Tiles {
    /// Multiplies `rows` rows, those that the tiles were made for, with one or two panels.
    ///
    /// # Safety
    /// Rows, panels and sums of the block are where it says.
    #[allow(clippy::unused_self, reason = "proves that there is a configuration")]
    unsafe fn multiply<D: Dot>(&self, block: Block, rows: usize, panels: usize) {
        // SAFETY: by this function's contract; this value is the proof of a configuration.
        unsafe { D::multiply(block, rows, panels) }
    }
}

/// What one instruction multiplies.
trait Dot {
    /// Multiplies one or two tiles of rows with one or two panels. Tiles 0 and 1 are sums of the first rows, 2 and 3 of the
    /// second; 4 and 5 are rows, 6 and 7 panels.
    ///
    /// # Safety
    /// Tiles are configured for so many rows; rows, panels and sums of the block are where it says.
    unsafe fn multiply(block: Block, rows: usize, panels: usize);
}

/// A block in assembly: zeroes the tiles of sums or loads what is there, repeats `$step` along the depth, and stores the
/// sums. `a1` is the second tile of rows, `b1` the second panel, `out1` the second tile of sums.
macro_rules! block {
    ($block:ident, [$(($sums:literal, $place:literal)),*], [$($step:expr),*]) => {{
        let Block { a, stride, b, panel, steps, add, out, out_stride } = $block;
        // SAFETY: by the contract of `Dot`. No operand is a tile that the compiler could have a use for.
        unsafe {
            asm!(
                $(concat!("tilezero ", $sums),)*
                "test {add}, {add}",
                "jz 2f",
                $(concat!("tileloadd ", $sums, ", ", $place),)*
                "2:",
                $($step,)*
                "add {a0}, 64",
                "add {a1}, 64",
                "add {b0}, 1024",
                "add {b1}, 1024",
                "dec {steps}",
                "jnz 2b",
                $(concat!("tilestored ", $place, ", ", $sums),)*
                // Not every block has second rows; an operand must be named all the same.
                "# {out1}",
                a0 = inout(reg) a => _,
                a1 = inout(reg) a.wrapping_add(TILE_ROWS * stride) => _,
                stride = in(reg) stride,
                b0 = inout(reg) b => _,
                b1 = inout(reg) b.wrapping_add(panel) => _,
                line = in(reg) 64_usize,
                steps = inout(reg) steps => _,
                add = in(reg) usize::from(add),
                out0 = in(reg) out,
                out1 = in(reg) out.wrapping_add(TILE_ROWS * out_stride),
                out_stride = in(reg) out_stride,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }};
}

macro_rules! dot {
    ($(#[$doc:meta])* $name:ident, $instruction:literal) => {
        $(#[$doc])*
        struct $name;

        impl Dot for $name {
            /// # Safety
            /// As [`Dot::multiply`].
            unsafe fn multiply(block: Block, rows: usize, panels: usize) {
                match (rows > TILE_ROWS, panels) {
                    // Loads stand where they are needed next: so the unit that multiplies waits least.
                    (true, 2) => block!(
                            block,
                            [
                                ("tmm0", "[{out0} + {out_stride}]"),
                                ("tmm2", "[{out1} + {out_stride}]"),
                                ("tmm1", "[{out0} + {out_stride} + 64]"),
                                ("tmm3", "[{out1} + {out_stride} + 64]")
                            ],
                            [
                                "tileloadd tmm6, [{b0} + {line}]",
                                "tileloadd tmm4, [{a0} + {stride}]",
                                concat!($instruction, " tmm0, tmm4, tmm6"),
                                "tileloadd tmm5, [{a1} + {stride}]",
                                concat!($instruction, " tmm2, tmm5, tmm6"),
                                "tileloadd tmm7, [{b1} + {line}]",
                                concat!($instruction, " tmm1, tmm4, tmm7"),
                                concat!($instruction, " tmm3, tmm5, tmm7")
                            ]
                        ),
                    (true, _) => block!(
                            block,
                            [("tmm0", "[{out0} + {out_stride}]"), ("tmm2", "[{out1} + {out_stride}]")],
                            [
                                "tileloadd tmm6, [{b0} + {line}]",
                                "tileloadd tmm4, [{a0} + {stride}]",
                                concat!($instruction, " tmm0, tmm4, tmm6"),
                                "tileloadd tmm5, [{a1} + {stride}]",
                                concat!($instruction, " tmm2, tmm5, tmm6")
                            ]
                        ),
                    (false, 2) => block!(
                            block,
                            [("tmm0", "[{out0} + {out_stride}]"), ("tmm1", "[{out0} + {out_stride} + 64]")],
                            [
                                "tileloadd tmm6, [{b0} + {line}]",
                                "tileloadd tmm4, [{a0} + {stride}]",
                                concat!($instruction, " tmm0, tmm4, tmm6"),
                                "tileloadd tmm7, [{b1} + {line}]",
                                concat!($instruction, " tmm1, tmm4, tmm7")
                            ]
                        ),
                    (false, _) => block!(
                            block,
                            [("tmm0", "[{out0} + {out_stride}]")],
                            [
                                "tileloadd tmm6, [{b0} + {line}]",
                                "tileloadd tmm4, [{a0} + {stride}]",
                                concat!($instruction, " tmm0, tmm4, tmm6")
                            ]
                        ),
                }
            }
        }
    };
}

dot!(
    /// Signed bytes by signed bytes, to i32.
    Signed,
    "tdpbssd"
);
dot!(
    /// Unsigned bytes by signed bytes, to i32.
    Unsigned,
    "tdpbusd"
);
dot!(
    /// bf16 by bf16, to f32.
    Bf16,
    "tdpbf16ps"
);
