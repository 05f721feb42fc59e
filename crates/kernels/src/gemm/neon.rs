//! NEON with the dot product of Armv8.2.
//!
//! Int8: `sdot` multiplies signed by signed bytes and adds four products to an i32, exactly. Its second factor may be
//! one group of four bytes of a register, for all channels: so sixteen bytes of a row are loaded once and serve four
//! lines. Unsigned rows become signed ones, `a - 128`; what that takes away, `128 * sum(b)` a channel, is where the sums
//! begin, and is computed once a panel for all rows. f32 is multiplied by element in the same way, fused, in the order
//! of `k`.

use std::arch::aarch64::{
    float32x4_t, int8x16_t, int32x4_t, vaddq_s32, vdupq_n_f32, vdupq_n_s8, vdupq_n_s32, veorq_s8, vfmaq_laneq_f32,
    vld1q_f32, vld1q_s8, vld1q_s32, vshlq_n_s32, vst1q_f32, vst1q_s32,
};
use std::arch::asm;

use super::{Kernel, LineF32, LineI8, PANEL, PanelsF32, RowsF32, RowsI8, RowsOf, RowsU8};
use crate::{Cpu, Isa};

/// Held only by code that has seen a [`Cpu`] of this kind.
struct Neon(());

static NEON: Neon = Neon(());

pub(super) fn kernel(cpu: Cpu) -> Option<&'static dyn Kernel> {
    (cpu.isa() == Isa::Neon).then_some(&NEON)
}

/// Rows of a full tile. Four rows by one panel are 16 sums, with four registers of rows and four of a line.
const ROWS: usize = 4;
/// Registers of a line.
const QUARTERS: usize = 4;

/// How many panels are multiplied at once: few rows take several, or there are too few independent sums.
fn panels_together(rows: usize) -> usize {
    match rows {
        1 => 4,
        2 | 3 => 2,
        _ => 1,
    }
}

/// Calls `$tile::<rows, panels, ...>` with the numbers that `$rows` (one to [`ROWS`], or more) and `$panels` have.
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
        let together = panels_together(a.rows);
        let mut panel = 0;
        while panel < b.count {
            let panels = if b.count - panel >= together { together } else { 1 };
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
                // SAFETY: every aarch64 processor has NEON; `check` holds for `min(4, rows left)` rows and `panels`
                // panels.
                unsafe { dispatch!(f32_tile, [], a.rows - row, panels, tile, out) }
            }
            panel += panels;
        }
    }
}

/// Rows of type `T`, unsigned or not, times all panels. Called by [`Neon`] alone.
fn multiply<T: Copy, const UNSIGNED: bool>(a: RowsOf<'_, T>, b: &[LineI8], sums: &mut [i32]) {
    let count = a.check(b, sums);
    let (width, lines, together) = (count * PANEL, a.lines(), panels_together(a.rows));
    let mut panel = 0;
    while panel < count {
        let panels = if count - panel >= together { together } else { 1 };
        let b = &b[panel * lines..][..panels * lines];
        let mut begin = [[0; PANEL]; 4];
        if UNSIGNED {
            for (begin, panel) in begin.iter_mut().zip(b.chunks_exact(lines)) {
                // SAFETY: a `Neon` is only reached through `kernel`, where the dot product was proved.
                *begin = unsafe { beginnings(panel) };
            }
        }
        for row in (0..a.rows).step_by(ROWS) {
            let start = a.data[row * a.stride..].as_ptr().cast();
            let tile = Int8Tile { a: start, a_stride: a.stride, b, lines, begin: &begin, width };
            let sums = &mut sums[row * width + panel * PANEL..];
            // SAFETY: as above; `check` holds for the `min(4, rows left)` rows and `panels` panels that each call reads
            // and writes, and for rows of a multiple of 64 bytes. `T` is a byte.
            unsafe { dispatch!(int8_tile, [UNSIGNED], a.rows - row, panels, tile, sums) }
        }
        panel += panels;
    }
}

/// Adds to each sum the product of its four bytes in `b` with four bytes of `a`, those at `LANE * 4`.
#[inline]
#[target_feature(enable = "dotprod")]
fn dot<const LANE: usize>(mut sum: int32x4_t, b: int8x16_t, a: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction reads and writes these registers alone; whoever calls this has the dot product.
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

/// `128 * sum(b)` of each channel of a panel, where the sums of unsigned rows begin.
#[target_feature(enable = "dotprod")]
fn beginnings(panel: &[LineI8]) -> [i32; PANEL] {
    let ones = vdupq_n_s8(1);
    let mut total = [vdupq_n_s32(0); QUARTERS];
    for line in panel {
        for (quarter, total) in total.iter_mut().enumerate() {
            // SAFETY: a line is four times 16 bytes long.
            let b = unsafe { vld1q_s8(line.0.as_ptr().add(quarter * 16)) };
            *total = dot::<0>(*total, b, ones);
        }
    }
    let mut begin = [0; PANEL];
    for (begin, total) in begin.chunks_exact_mut(4).zip(total) {
        // SAFETY: four sums of four bytes are written to four elements.
        unsafe { vst1q_s32(begin.as_mut_ptr(), vshlq_n_s32::<7>(total)) };
    }
    begin
}

#[derive(Clone, Copy)]
struct Int8Tile<'a> {
    a: *const i8,
    a_stride: usize,
    b: &'a [LineI8],
    /// Lines of a panel.
    lines: usize,
    /// Where the sums of each panel begin.
    begin: &'a [[i32; PANEL]; 4],
    /// Elements from one row of the sums to the next.
    width: usize,
}

/// `R` rows times `P` panels.
///
/// # Safety
/// `tile.a` points to `R` rows of `lines * 4` bytes, a multiple of 16, `a_stride` apart; `tile.b` holds `P` panels, at
/// most four; `sums` holds `R` rows of `P * 16`, `width` apart.
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
        // SAFETY: panels have four lines from `group` on, by this function's contract.
        unsafe {
            let b = tile.b.as_ptr().add(group);
            add_line::<R, P, 0>(&mut total, &a, b, tile.lines);
            add_line::<R, P, 1>(&mut total, &a, b.add(1), tile.lines);
            add_line::<R, P, 2>(&mut total, &a, b.add(2), tile.lines);
            add_line::<R, P, 3>(&mut total, &a, b.add(3), tile.lines);
        }
    }
    for (row, total) in total.iter().enumerate() {
        for (panel, (total, begin)) in total.iter().zip(tile.begin).enumerate() {
            for (quarter, total) in total.iter().enumerate() {
                // SAFETY: `begin` has four elements there, and `sums` has, by this function's contract.
                unsafe {
                    let begin = vld1q_s32(begin.as_ptr().add(quarter * 4));
                    let out = sums.as_mut_ptr().add(row * tile.width + panel * PANEL + quarter * 4);
                    vst1q_s32(out, vaddq_s32(*total, begin));
                }
            }
        }
    }
}

/// Adds the products of a line of each panel with four bytes of each row, those at `LANE * 4` of `a`.
///
/// # Safety
/// `b` points to a line, and so does every `lines` further on, for `P` panels.
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
            // SAFETY: a line is four times 16 bytes long, and there is one, by this function's contract.
            let b = unsafe { vld1q_s8(b.add(panel * lines).cast::<i8>().add(quarter * 16)) };
            for (total, a) in total.iter_mut().zip(a) {
                total[panel][quarter] = dot::<LANE>(total[panel][quarter], b, *a);
            }
        }
    }
}

#[derive(Clone, Copy)]
struct F32Tile<'a> {
    a: &'a [f32],
    a_stride: usize,
    b: &'a [LineF32],
    b_stride: usize,
    k: usize,
    /// Elements from one row of the result to the next.
    width: usize,
}

/// `R` rows times `P` panels.
///
/// # Safety
/// `tile.a` holds `R` rows of `k` elements, `tile.b` holds `P` panels of `k` lines, `out` holds `R` rows of `P * 16`
/// elements, each at its stride.
#[target_feature(enable = "neon")]
unsafe fn f32_tile<const R: usize, const P: usize>(tile: F32Tile<'_>, out: &mut [f32]) {
    let mut total: [[[float32x4_t; QUARTERS]; P]; R] = [[[vdupq_n_f32(0.0); QUARTERS]; P]; R];
    let (start, whole) = (tile.b.as_ptr(), tile.k / 4 * 4);
    for k in (0..whole).step_by(4) {
        let mut a = [vdupq_n_f32(0.0); R];
        for (row, a) in a.iter_mut().enumerate() {
            // SAFETY: row `row` has four elements from `k` on, by this function's contract.
            *a = unsafe { vld1q_f32(tile.a.as_ptr().add(row * tile.a_stride + k)) };
        }
        // SAFETY: panels have four lines from `k` on, by this function's contract.
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
            // SAFETY: row `row` has an element `k`, by this function's contract.
            *a = vdupq_n_f32(unsafe { *tile.a.as_ptr().add(row * tile.a_stride + k) });
        }
        // SAFETY: panels have a line `k`, by this function's contract.
        unsafe { fuse_line::<R, P, 0>(&mut total, &a, start.add(k), tile.b_stride) };
    }
    for (row, total) in total.iter().enumerate() {
        for (panel, total) in total.iter().enumerate() {
            for (quarter, total) in total.iter().enumerate() {
                // SAFETY: `out` has four elements there, by this function's contract.
                unsafe { vst1q_f32(out.as_mut_ptr().add(row * tile.width + panel * PANEL + quarter * 4), *total) };
            }
        }
    }
}

/// Adds the products of a line of each panel with one element of each row, that at `LANE` of `a`.
///
/// # Safety
/// `b` points to a line, and so does every `stride` further on, for `P` panels.
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
            // SAFETY: a line is four times four values long, and there is one, by this function's contract.
            let b = unsafe { vld1q_f32(b.add(panel * stride).cast::<f32>().add(quarter * 4)) };
            for (total, a) in total.iter_mut().zip(a) {
                total[panel][quarter] = vfmaq_laneq_f32::<LANE>(total[panel][quarter], b, *a);
            }
        }
    }
}
