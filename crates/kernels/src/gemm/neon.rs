//! The kernel for NEON with the dot-product instructions of Armv8.2.
//!
//! Int8: `sdot` multiplies signed by signed bytes and adds four products to an i32, exactly. Its indexed form
//! multiplies all channels with one group of four bytes of a register. So 16 bytes of a row are loaded once and used
//! for four 64-byte lines of weights.
//!
//! Unsigned rows are made signed, as `a - 128`. This subtracts `128 * sum(b)` from the sums of a channel, so the sums
//! start at that value to compensate. The start value is computed once per panel, for all rows.
//!
//! F32: the indexed form of `fmla` is used in the same way. Products are added in the order of `k`.

use std::arch::aarch64::{
    float32x4_t, int8x16_t, int32x4_t, vaddq_s32, vdupq_n_f32, vdupq_n_s8, vdupq_n_s32, veorq_s8, vfmaq_laneq_f32,
    vld1q_f32, vld1q_s8, vld1q_s32, vshlq_n_s32, vst1q_f32, vst1q_s32,
};
use std::arch::asm;

use super::{Kernel, PanelsF32, RowsF32, RowsI8, RowsOf, RowsU8};
use crate::lines::{LineF32, LineI8, PANEL};
use crate::{Cpu, Isa};

/// The kernel for NEON. It is reachable only through [`kernel`].
struct Neon(());

static NEON: Neon = Neon(());

pub(super) fn kernel(cpu: Cpu) -> Option<&'static dyn Kernel> {
    (cpu.isa() == Isa::Neon).then_some(&NEON)
}

/// Number of rows in a full tile. A tile uses 24 of 32 registers: 16 for the sums of four rows by one panel, four for
/// rows, and four for a 64-byte line of weights.
const ROWS: usize = 4;
/// Number of registers that hold a 64-byte line of weights.
const QUARTERS: usize = 4;

/// Number of panels that are multiplied at once. Few rows need several panels, so that there are enough independent
/// sums to hide the latency of the instructions.
fn panels_at_once(rows: usize) -> usize {
    match rows {
        1 => 4,
        2 | 3 => 2,
        _ => 1,
    }
}

/// Calls `$tile::<R, P, ...>`. `R` is the value of `$rows`, but at most 4. `P` is the value of `$panels`: 1, or a
/// value that [`panels_at_once`] returns.
macro_rules! dispatch {
    ($tile:ident, [$($unsigned:ident)?], $rows:expr, $panels:expr, $($argument:expr),*) => {
        match ($rows, $panels) {
            (1, 4) => $tile::<1, 4 $(, $unsigned)?>($($argument),*),
            (1, _) => $tile::<1, 1 $(, $unsigned)?>($($argument),*),
            (2, 2) => $tile::<2, 2 $(, $unsigned)?>($($argument),*),
            (2, _) => $tile::<2, 1 $(, $unsigned)?>($($argument),*),
            (3, 2) => $tile::<3, 2 $(, $unsigned)?>($($argument),*),
            (3, _) => $tile::<3, 1 $(, $unsigned)?>($($argument),*),
            _ => $tile::<4, 1 $(, $unsigned)?>($($argument),*),
        }
    };
}

impl Kernel for Neon {
    fn isa(&self) -> Isa {
        Isa::Neon
    }

    fn int8(&self, a: RowsI8<'_>, b: &[LineI8], sums: &mut [i32]) {
        multiply::<i8, false>(a, b, sums);
    }

    fn uint8(&self, a: RowsU8<'_>, b: &[LineI8], sums: &mut [i32]) {
        multiply::<u8, true>(a, b, sums);
    }

    fn f32(&self, a: RowsF32<'_>, b: PanelsF32<'_>, out: &mut [f32]) {
        a.check(b, out);
        let at_once = panels_at_once(a.rows);
        let mut panel = 0;
        while panel < b.count {
            let panels = if b.count - panel >= at_once { at_once } else { 1 };
            for row in (0..a.rows).step_by(ROWS) {
                let tile = F32Tile {
                    a: &a.data[row * a.stride..],
                    a_stride: a.stride,
                    b: &b.lines[panel * b.stride..],
                    b_stride: b.stride,
                    k: a.k,
                    width: b.count * PANEL,
                };
                let out = &mut out[(row * b.count + panel) * PANEL..];
                // SAFETY: every aarch64 processor has NEON. `check` above guarantees that the `min(4, a.rows - row)`
                // rows and `panels` panels of this tile lie inside `a`, `b` and `out`.
                unsafe { dispatch!(f32_tile, [], a.rows - row, panels, tile, out) }
            }
            panel += panels;
        }
    }
}

/// Multiplies all rows of `a` with all panels of `b`. `T` is `u8` if `UNSIGNED`, else `i8`. Called only by [`Neon`].
fn multiply<T: Copy, const UNSIGNED: bool>(a: RowsOf<'_, T>, b: &[LineI8], sums: &mut [i32]) {
    let count = a.check(b, sums);
    let (width, lines, at_once) = (count * PANEL, a.lines(), panels_at_once(a.rows));
    let mut panel = 0;
    while panel < count {
        let panels = if count - panel >= at_once { at_once } else { 1 };
        let b = &b[panel * lines..][..panels * lines];
        let mut initial = [[0; PANEL]; 4];
        if UNSIGNED {
            for (initial, panel) in initial.iter_mut().zip(b.chunks_exact(lines)) {
                // SAFETY: only a `Neon` calls this function, and it is reachable only where the dot-product
                // instructions were detected.
                *initial = unsafe { initial_sums(panel) };
            }
        }
        for row in (0..a.rows).step_by(ROWS) {
            let start = a.data[row * a.stride..].as_ptr().cast();
            let tile = Int8Tile { a: start, a_stride: a.stride, b, lines, initial: &initial, width };
            let sums = &mut sums[row * width + panel * PANEL..];
            // SAFETY: the dot-product instructions were detected, as explained above. `check` guarantees that the
            // `min(4, a.rows - row)` rows and `panels` panels of this tile lie inside `a`, `b` and `sums`, and that
            // rows are a multiple of 64 bytes. `T` is one byte.
            unsafe { dispatch!(int8_tile, [UNSIGNED], a.rows - row, panels, tile, sums) }
        }
        panel += panels;
    }
}

/// Adds to each of four sums the dot product of its four bytes in `b` with the four bytes of `a` at `LANE * 4`.
#[inline]
#[target_feature(enable = "dotprod")]
fn dot<const LANE: usize>(mut sum: int32x4_t, b: int8x16_t, a: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction reads and writes only these registers. `target_feature` guarantees that the processor has
    // it.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {b:v}.16b, {a:v}.4b[{lane}]",
            sum = inout(vreg) sum,
            b = in(vreg) b,
            a = in(vreg) a,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

/// Computes `128 * sum(b)` for each channel of a panel. The sums of unsigned rows start at this value.
#[target_feature(enable = "dotprod")]
fn initial_sums(panel: &[LineI8]) -> [i32; PANEL] {
    let ones = vdupq_n_s8(1);
    let mut total = [vdupq_n_s32(0); QUARTERS];
    for line in panel {
        for (quarter, total) in total.iter_mut().enumerate() {
            // SAFETY: a line is 64 bytes, four quarters of 16.
            let b = unsafe { vld1q_s8(line.0.as_ptr().add(quarter * 16)) };
            *total = dot::<0>(*total, b, ones);
        }
    }
    let mut initial = [0; PANEL];
    for (initial, total) in initial.chunks_exact_mut(4).zip(total) {
        // SAFETY: the store writes four elements, and the chunk has four.
        unsafe { vst1q_s32(initial.as_mut_ptr(), vshlq_n_s32::<7>(total)) };
    }
    initial
}

/// The operands of [`int8_tile`].
#[derive(Clone, Copy)]
struct Int8Tile<'a> {
    a: *const i8,
    a_stride: usize,
    b: &'a [LineI8],
    /// Number of 64-byte lines in a panel of weights.
    lines: usize,
    /// For each panel, the values that the sums of its channels start at.
    initial: &'a [[i32; PANEL]; 4],
    /// Elements from the start of one row of sums to the start of the next.
    width: usize,
}

/// Multiplies `R` rows with `P` panels.
///
/// # Safety
///
/// `tile.a` points to `R` rows of `lines * 4` bytes, which start `a_stride` bytes apart; `lines` is a multiple of 4.
/// `tile.b` holds `P` panels of `lines` lines, and `P` is at most four. `sums` holds `R` rows of `P * 16` elements,
/// which start `width` elements apart.
#[target_feature(enable = "dotprod")]
unsafe fn int8_tile<const R: usize, const P: usize, const UNSIGNED: bool>(tile: Int8Tile<'_>, sums: &mut [i32]) {
    let flip = vdupq_n_s8(-128);
    let mut total: [[[int32x4_t; QUARTERS]; P]; R] = [[[vdupq_n_s32(0); QUARTERS]; P]; R];
    for group in (0..tile.lines).step_by(4) {
        let mut a = [vdupq_n_s8(0); R];
        for (row, a) in a.iter_mut().enumerate() {
            // SAFETY: row `row` has 16 bytes at `group * 4`, by this function's contract.
            *a = unsafe { vld1q_s8(tile.a.add(row * tile.a_stride + group * 4)) };
            if UNSIGNED {
                *a = veorq_s8(*a, flip);
            }
        }
        // SAFETY: each panel has four lines starting at line `group`, by this function's contract.
        unsafe {
            let b = tile.b.as_ptr().add(group);
            add_line::<R, P, 0>(&mut total, &a, b, tile.lines);
            add_line::<R, P, 1>(&mut total, &a, b.add(1), tile.lines);
            add_line::<R, P, 2>(&mut total, &a, b.add(2), tile.lines);
            add_line::<R, P, 3>(&mut total, &a, b.add(3), tile.lines);
        }
    }
    for (row, total) in total.iter().enumerate() {
        for (panel, (total, initial)) in total.iter().zip(tile.initial).enumerate() {
            for (quarter, total) in total.iter().enumerate() {
                // SAFETY: `initial` has 16 elements, four for each quarter. `sums` has four elements in this row and
                // quarter of a panel, by this function's contract.
                unsafe {
                    let initial = vld1q_s32(initial.as_ptr().add(quarter * 4));
                    let out = sums.as_mut_ptr().add(row * tile.width + panel * PANEL + quarter * 4);
                    vst1q_s32(out, vaddq_s32(*total, initial));
                }
            }
        }
    }
}

/// Adds to the sums in `total` the products of one line of each panel with the four bytes at `LANE * 4` of each row's
/// register in `a`.
///
/// # Safety
///
/// `b` points to a line of the first panel; the line of panel `p` is `p * lines` lines after it.
#[inline]
#[target_feature(enable = "dotprod")]
unsafe fn add_line<const R: usize, const P: usize, const LANE: usize>(
    total: &mut [[[int32x4_t; QUARTERS]; P]; R],
    a: &[int8x16_t; R],
    b: *const LineI8,
    lines: usize,
) {
    for panel in 0..P {
        for quarter in 0..QUARTERS {
            // SAFETY: panel `panel` has this line of weights, by this function's contract, and a line is four
            // quarters of 16 bytes.
            let b = unsafe { vld1q_s8(b.add(panel * lines).cast::<i8>().add(quarter * 16)) };
            for (total, a) in total.iter_mut().zip(a) {
                total[panel][quarter] = dot::<LANE>(total[panel][quarter], b, *a);
            }
        }
    }
}

/// The operands of [`f32_tile`]. The strides of `a` and of the result are in elements, that of `b` is in lines.
#[derive(Clone, Copy)]
struct F32Tile<'a> {
    a: &'a [f32],
    a_stride: usize,
    b: &'a [LineF32],
    b_stride: usize,
    k: usize,
    /// Elements from the start of one row of the result to the start of the next.
    width: usize,
}

/// Multiplies `R` rows with `P` panels in f32.
///
/// # Safety
///
/// `tile.a` holds `R` rows of `k` elements, `a_stride` apart. `tile.b` holds `P` panels of `k` lines, `b_stride`
/// apart. `out` holds `R` rows of `P * 16` elements, `width` apart.
#[target_feature(enable = "neon")]
unsafe fn f32_tile<const R: usize, const P: usize>(tile: F32Tile<'_>, out: &mut [f32]) {
    let mut total: [[[float32x4_t; QUARTERS]; P]; R] = [[[vdupq_n_f32(0.0); QUARTERS]; P]; R];
    let (start, whole) = (tile.b.as_ptr(), tile.k / 4 * 4);
    for k in (0..whole).step_by(4) {
        let mut a = [vdupq_n_f32(0.0); R];
        for (row, a) in a.iter_mut().enumerate() {
            // SAFETY: row `row` has four elements starting at `k`, by this function's contract.
            *a = unsafe { vld1q_f32(tile.a.as_ptr().add(row * tile.a_stride + k)) };
        }
        // SAFETY: each panel has four lines starting at line `k`, by this function's contract.
        unsafe {
            fuse_line::<R, P, 0>(&mut total, &a, start.add(k), tile.b_stride);
            fuse_line::<R, P, 1>(&mut total, &a, start.add(k + 1), tile.b_stride);
            fuse_line::<R, P, 2>(&mut total, &a, start.add(k + 2), tile.b_stride);
            fuse_line::<R, P, 3>(&mut total, &a, start.add(k + 3), tile.b_stride);
        }
    }
    for k in whole..tile.k {
        let mut a = [vdupq_n_f32(0.0); R];
        for (row, a) in a.iter_mut().enumerate() {
            // SAFETY: row `row` has an element at index `k`, by this function's contract.
            *a = vdupq_n_f32(unsafe { *tile.a.as_ptr().add(row * tile.a_stride + k) });
        }
        // SAFETY: each panel has a line at index `k`, by this function's contract.
        unsafe { fuse_line::<R, P, 0>(&mut total, &a, start.add(k), tile.b_stride) };
    }
    for (row, total) in total.iter().enumerate() {
        for (panel, total) in total.iter().enumerate() {
            for (quarter, total) in total.iter().enumerate() {
                // SAFETY: `out` has four elements in this row and quarter of a panel, by this function's contract.
                unsafe { vst1q_f32(out.as_mut_ptr().add(row * tile.width + panel * PANEL + quarter * 4), *total) };
            }
        }
    }
}

/// Adds to the sums in `total` the products of one line of each panel with element `LANE` of each row's register in
/// `a`.
///
/// # Safety
///
/// `b` points to a line of the first panel; the line of panel `p` is `p * stride` lines after it.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn fuse_line<const R: usize, const P: usize, const LANE: i32>(
    total: &mut [[[float32x4_t; QUARTERS]; P]; R],
    a: &[float32x4_t; R],
    b: *const LineF32,
    stride: usize,
) {
    for panel in 0..P {
        for quarter in 0..QUARTERS {
            // SAFETY: panel `panel` has this line of weights, by this function's contract, and a line is four
            // quarters of four values.
            let b = unsafe { vld1q_f32(b.add(panel * stride).cast::<f32>().add(quarter * 4)) };
            for (total, a) in total.iter_mut().zip(a) {
                total[panel][quarter] = vfmaq_laneq_f32::<LANE>(total[panel][quarter], b, *a);
            }
        }
    }
}
