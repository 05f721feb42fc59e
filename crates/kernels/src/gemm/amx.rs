//! The kernel for AMX, which has tile registers of 16 rows by 64 bytes. One instruction multiplies two tiles.
//!
//! Weights are stored in panels of 16 output channels, and a panel is a sequence of 64-byte lines. A line already has
//! the layout of a tile row. A tile of weights is 16 lines: 64 `k` (32 in bf16) by 16 channels. A tile of activations
//! is 16 rows. A block is two tiles of rows by two panels. Its four tiles of sums stay in registers over the whole of
//! `k`, so every tile that is loaded is used twice.
//!
//! The compiler does not manage tile registers. Therefore one asm block computes a whole block, from zeroing the sums
//! to storing them. The tile configuration (how many rows each tile has) is loaded separately. It stays valid as long
//! as a value of [`Tiles`] lives, because compiled code never changes it.
//!
//! F32 products, and int8 products of very few rows, are left to the AVX-512 kernel.

use std::arch::asm;

use super::avx512_vnni::AVX512_VNNI;
use super::{Kernel, PanelsF32, RowsBf16, RowsF32, RowsI8, RowsOf, RowsU8};
use crate::lines::{LineBf16, LineI8, PANEL};
use crate::scratch::scratch_of;
use crate::{Aligned, Cpu, Isa, Number};

/// The kernel for AMX. It is reachable only through [`kernel`].
struct Amx(());

static AMX: Amx = Amx(());

pub(super) fn kernel(cpu: Cpu) -> Option<&'static dyn Kernel> {
    (cpu.isa() == Isa::Amx).then_some(&AMX)
}

/// Number of rows in a tile of activations or of sums, and number of 64-byte lines in a tile of weights.
const TILE_ROWS: usize = 16;
/// Maximum number of rows in a block.
const BLOCK_ROWS: usize = 2 * TILE_ROWS;
/// Maximum number of tiles along `k` in one piece of a product. Two tiles of rows of this depth fill a third of the
/// L1 cache.
///
/// A deeper product is split along `k` into pieces, and the sums stay in the L2 cache from one piece to the next.
/// Without the split, the rows would have to be loaded from L2 again for every panel.
const MAX_PIECE_TILES: usize = 8;
/// Products with fewer rows than this are left to the AVX-512 kernel, which is faster for them.
const MIN_ROWS: usize = 3;

impl Kernel for Amx {
    fn isa(&self) -> Isa {
        Isa::Amx
    }

    fn int8(&self, a: RowsI8<'_>, b: &[LineI8], sums: &mut [i32]) {
        if a.rows < MIN_ROWS {
            return AVX512_VNNI.int8(a, b, sums);
        }
        let panels = a.check(b, sums);
        multiply::<Signed, _, _>(&a, b, panels, sums.as_mut_ptr().cast());
    }

    fn uint8(&self, a: RowsU8<'_>, b: &[LineI8], sums: &mut [i32]) {
        if a.rows < MIN_ROWS {
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
        if a.rows < MIN_ROWS {
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
        // The scores of attention have a small `k`, so the product of a group of panels takes little time. The
        // callback `each` is called once per group. With four panels per group instead of two, there are fewer calls.
        by_groups::<Bf16, _, _, _>(&a, b, 4, sums, each);
    }
}

/// Multiplies one block of rows with all panels. Passes the sums to the callback `each` in groups of `group_panels`
/// panels, an even number.
fn by_groups<D: Dot, T, L, S: Number>(
    a: &RowsOf<'_, T>,
    b: &[L],
    group_panels: usize,
    sums: &mut Aligned<S>,
    each: &mut dyn FnMut(usize, &[S]),
) {
    let panels = a.panels_of(b);
    assert!(a.rows <= BLOCK_ROWS, "{} rows, but a block has at most {BLOCK_ROWS}", a.rows);
    if panels == 0 {
        return;
    }
    let steps = a.lines() / TILE_ROWS;
    let pieces = if a.rows > TILE_ROWS { steps.div_ceil(MAX_PIECE_TILES).max(1) } else { 1 };
    let group = group_panels * PANEL * a.rows;
    // If `k` is split into several pieces, `sums` holds the sums of all groups until the final piece. Otherwise it
    // holds the sums of two groups, in two slots that are used alternately.
    let slots = if pieces == 1 { 2 } else { panels.div_ceil(group_panels) };
    let sums = scratch_of(sums, slots * group);
    let tiles = tiles_for(a.rows);
    for piece in 0..pieces {
        let (first, end) = (steps * piece / pieces, steps * (piece + 1) / pieces);
        for (index, panel) in (0..panels).step_by(group_panels).enumerate() {
            let width = group_panels.min(panels - panel) * PANEL;
            let out = &mut sums[index % slots * group..][..group];
            for inner in (panel..panels.min(panel + group_panels)).step_by(2) {
                // SAFETY: `inner - panel` is less than the number of panels in this group, so the offset lies inside
                // the group's sums.
                let out = unsafe { out.as_mut_ptr().add((inner - panel) * PANEL) };
                let block = Block::new(a, &b[inner * a.lines()..], out.cast(), width);
                // SAFETY: `panels_of` checked that `a` holds all rows and `b` these panels over the whole of `k`.
                // `out` has `width` elements for each row, enough for one or two panels at this offset.
                unsafe { tiles.multiply::<D>(block.piece(first, end), a.rows, 2.min(panels - inner)) };
            }
            // Pass on the sums of the previous group only now. Then `each` runs while the processor still executes
            // the tile instructions of the current group.
            if piece + 1 == pieces && index > 0 {
                each(panel - group_panels, &sums[(index - 1) % slots * group..][..group]);
            }
        }
    }
    drop(tiles);
    let last = panels.div_ceil(group_panels) - 1;
    let rest = panels - last * group_panels;
    each(last * group_panels, &sums[last % slots * group..][..a.rows * rest * PANEL]);
}

/// Multiplies all rows with all panels. `out` points to `(a.rows, panels * 16)` elements of four bytes. Callers must
/// have checked with [`RowsOf::check`] that the lengths agree.
fn multiply<D: Dot, T, L>(a: &RowsOf<'_, T>, b: &[L], panels: usize, out: *mut u8) {
    let width = panels * PANEL;
    for row in (0..a.rows).step_by(BLOCK_ROWS) {
        let rows = BLOCK_ROWS.min(a.rows - row);
        let (a, tiles) = (a.slice(row, rows), tiles_for(rows));
        for panel in (0..panels).step_by(2) {
            // SAFETY: the callers checked that `out` holds `(a.rows, width)` elements, so this row and panel lie inside
            // it.
            let out = unsafe { out.add((row * width + panel * PANEL) * SUM_BYTES) };
            let block = Block::new(&a, &b[panel * a.lines()..], out, width);
            // SAFETY: the callers checked that `a` holds these rows, `b` these panels, and `out` their sums.
            unsafe { tiles.multiply::<D>(block, rows, 2.min(panels - panel)) };
        }
    }
}

/// Size of a sum in bytes.
const SUM_BYTES: usize = 4;
/// Size of a tile in bytes.
const TILE_BYTES: usize = 1024;

/// The operands of the asm block that multiplies up to two tiles of rows with up to two panels.
#[derive(Clone, Copy)]
struct Block {
    /// The address of the first row of activations. The next field is the number of bytes from one row to the next.
    a: *const u8,
    stride: usize,
    /// The first panel of weights. A second panel follows it in memory.
    b: *const u8,
    /// Size in bytes of one panel of weights, over the whole of `k`.
    panel: usize,
    /// Number of tiles along `k`, at least one.
    steps: usize,
    /// Whether to add to the existing sums instead of starting at zero.
    add: bool,
    /// The address of the first sum. The next field is the number of bytes from the start of one row of sums to the
    /// start of the next.
    out: *mut u8,
    out_stride: usize,
}

impl Block {
    /// Creates a block over the whole of `k`. `width` is the number of sums from the start of one row of `out` to the
    /// start of the next.
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

    /// The part of this block from tile `first` up to tile `end` (exclusive) along `k`. Unless `first` is 0, the part
    /// adds to the existing sums.
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

/// Proof that the tile registers are configured. Dropping it releases them.
struct Tiles(());

/// Configures the tile registers for a block of `rows` rows. Called only by [`Amx`].
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
    // The configuration needs at least one row for each tile, even if the block does not use the second tile of rows.
    let second = (rows - first).max(1);
    let (mut bytes_per_row, mut tile_rows) = ([0; 16], [0; 16]);
    bytes_per_row[..8].fill(64);
    tile_rows[..8]
        .copy_from_slice(&[first, first, second, second, first, second, TILE_ROWS, TILE_ROWS].map(|n| n as u8));
    let configuration = Configuration { palette: 1, start_row: 0, reserved: [0; 14], bytes_per_row, rows: tile_rows };
    // SAFETY: only an `Amx` calls this function, and it is reachable only where AMX was detected and the system
    // permits its use. The asm block is `readonly`, not `nomem`, so the compiler writes the configuration to memory
    // before it.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly, preserves_flags)) };
    Tiles(())
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: a `Tiles` exists only after `ldtilecfg` was executed, so AMX is available. No tile holds data that is
        // needed: each block stores its sums before it ends.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags)) };
    }
}

impl Tiles {
    /// Multiplies `rows` rows with one or two panels. The tiles must be configured for this number of rows.
    ///
    /// # Safety
    ///
    /// The tiles are configured for `rows` rows. The pointers and strides of `block` are valid for `rows` rows, for
    /// `panels` panels of `steps` tiles, and for their sums.
    #[allow(clippy::unused_self, reason = "`self` proves that the tiles are configured")]
    unsafe fn multiply<D: Dot>(&self, block: Block, rows: usize, panels: usize) {
        // SAFETY: `self` proves that the tiles are configured; the rest is this function's contract.
        unsafe { D::multiply(block, rows, panels) }
    }
}

/// One of the instructions that multiply two tiles.
trait Dot {
    /// Multiplies one or two tiles of rows with one or two panels.
    ///
    /// Tile registers 0 and 1 hold the sums of the first tile of rows, 2 and 3 those of the second. Registers 4 and 5
    /// hold rows, 6 and 7 panels.
    ///
    /// # Safety
    ///
    /// The tiles are configured for `rows` rows. The pointers and strides of `block` are valid for `rows` rows, for
    /// `panels` panels of `steps` tiles, and for their sums.
    unsafe fn multiply(block: Block, rows: usize, panels: usize);
}

/// Generates the asm block that computes a [`Block`]. The asm zeroes the tiles of sums or loads the existing sums,
/// repeats the instructions `$step` for each tile along `k`, and stores the sums.
///
/// `a0` and `a1` point to the two tiles of rows, `b0` and `b1` to the two panels, `out0` and `out1` to the sums of
/// the two tiles of rows. `$address` is where the tile `$sums` is loaded from and stored to.
macro_rules! block {
    ($block:ident, [$(($sums:literal, $address:literal)),*], [$($step:expr),*]) => {{
        let Block { a, stride, b, panel, steps, add, out, out_stride } = $block;
        // SAFETY: the contract of `Dot::multiply` makes every access valid. All tile registers are declared as
        // clobbered. The asm block may read and write memory, as the missing `nomem` and `readonly` options tell the
        // compiler.
        unsafe {
            asm!(
                $(concat!("tilezero ", $sums),)*
                "test {add}, {add}",
                "jz 2f",
                $(concat!("tileloadd ", $sums, ", ", $address),)*
                "2:",
                $($step,)*
                "add {a0}, 64",
                "add {a1}, 64",
                "add {b0}, 1024",
                "add {b1}, 1024",
                "dec {steps}",
                "jnz 2b",
                $(concat!("tilestored ", $address, ", ", $sums),)*
                // Every operand must occur in the asm template. For a block with one tile of rows, `out1` occurs only
                // in this assembler comment.
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
            /// The contract of [`Dot::multiply`].
            unsafe fn multiply(block: Block, rows: usize, panels: usize) {
                match (rows > TILE_ROWS, panels) {
                    // Each load comes just before the first multiplication that uses its tile. In this order the
                    // multiplication unit waits least.
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
    /// Multiplies signed bytes with signed bytes and sums in i32.
    Signed,
    "tdpbssd"
);
dot!(
    /// Multiplies unsigned bytes with signed bytes and sums in i32.
    Unsigned,
    "tdpbusd"
);
dot!(
    /// Multiplies bf16 with bf16 numbers and sums in f32.
    Bf16,
    "tdpbf16ps"
);
