//! The kernel for AVX-512 with VNNI.
//!
//! Int8: `vpdpbusd` multiplies unsigned by signed bytes and adds four products to an i32, exactly. The weights are
//! made unsigned in a register, as `b + 128`. This takes one exclusive-or per 64-byte line, shared by all rows of a
//! tile. The added 128 increases every sum of a row by `128 * sum(a)`, so the sums of each row start at `-128 *
//! sum(a)` to compensate. The packed weights are therefore the same bytes as for every other instruction set, and the
//! activations are broadcast from memory unchanged.

use std::arch::x86_64::{
    __m512, __m512i, _mm512_add_epi32, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_load_ps, _mm512_load_si512,
    _mm512_loadu_si512, _mm512_reduce_add_epi32, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_setzero_si512, _mm512_storeu_ps, _mm512_storeu_si512, _mm512_xor_si512,
};

use super::contract::{BLOCK_ROWS, GROUP_PANELS};
use super::{Kernel, PanelsF32, RowsF32, RowsI8, RowsOf, RowsU8};
use crate::lines::{LineF32, LineI8, PANEL};
use crate::scratch::scratch_of;
use crate::{Aligned, Cpu, Isa};

/// The kernel for AVX-512 with VNNI. It is reachable only through [`kernel`], or from the AMX kernel, whose
/// instruction set includes this one.
pub(super) struct Avx512Vnni(());

pub(super) static AVX512_VNNI: Avx512Vnni = Avx512Vnni(());

pub(super) fn kernel(cpu: Cpu) -> Option<&'static dyn Kernel> {
    (cpu.isa() == Isa::Avx512Vnni).then_some(&AVX512_VNNI)
}

/// Number of rows in a full tile. Eight rows by three panels need 24 registers for their sums. These are more
/// independent sums than the latency of `vpdpbusd` times the number of units that execute it.
const ROWS: usize = 8;

/// Number of panels that are multiplied at once. It is three (see [`ROWS`]), or four if there are few rows: with
/// fewer panels, arithmetic units of the core would be idle.
fn panels_at_once(rows: usize) -> usize {
    if rows < ROWS / 2 { 4 } else { 3 }
}

/// Calls `$tile::<R, P>`, where `R` is the value of `$rows` (1 to 8) and `P` the value of `$panels` (1 to 4).
macro_rules! dispatch {
    ($tile:ident, $rows:expr, $panels:expr, $($argument:expr),*) => {
        dispatch!(@rows $tile, $rows, $panels, ($($argument),*), 1 2 3 4 5 6 7 8)
    };
    (@rows $tile:ident, $rows:expr, $panels:expr, $arguments:tt, $($r:literal)*) => {
        match $rows {
            $($r => dispatch!(@panels $tile, $r, $panels, $arguments),)*
            _ => unreachable!("a tile has 1 to 8 rows"),
        }
    };
    (@panels $tile:ident, $r:literal, $panels:expr, ($($argument:expr),*)) => {
        match $panels {
            1 => $tile::<$r, 1>($($argument),*),
            2 => $tile::<$r, 2>($($argument),*),
            3 => $tile::<$r, 3>($($argument),*),
            _ => $tile::<$r, 4>($($argument),*),
        }
    };
}

impl Kernel for Avx512Vnni {
    fn isa(&self) -> Isa {
        Isa::Avx512Vnni
    }

    fn int8(&self, a: RowsI8<'_>, b: &[LineI8], sums: &mut [i32]) {
        a.check(b, sums);
        let width = b.len() / a.lines() * PANEL;
        let mut initial = [0; ROWS];
        for row in (0..a.rows).step_by(ROWS) {
            let rows = a.slice(row, ROWS);
            initial_sums(rows, &mut initial);
            multiply::<i8, false>(rows, &initial, b, &mut sums[row * width..][..rows.rows * width]);
        }
    }

    fn uint8(&self, a: RowsU8<'_>, b: &[LineI8], sums: &mut [i32]) {
        multiply::<u8, true>(a, &[], b, sums);
    }

    fn int8_by_groups(
        &self,
        a: RowsI8<'_>,
        b: &[LineI8],
        sums: &mut Aligned<i32>,
        each: &mut dyn FnMut(usize, &[i32]),
    ) {
        assert!(a.rows <= BLOCK_ROWS, "{} rows, but a block has at most {BLOCK_ROWS}", a.rows);
        let mut initial = [0; BLOCK_ROWS];
        initial_sums(a, &mut initial);
        // Make the number of panels in a group a multiple of the panels multiplied at once. A single panel at the end
        // of a group would leave arithmetic units idle.
        let group = GROUP_PANELS - GROUP_PANELS % panels_at_once(a.rows);
        for (index, b) in b.chunks(group * a.lines()).enumerate() {
            let sums = scratch_of(sums, b.len() / a.lines() * PANEL * a.rows);
            multiply::<i8, false>(a, &initial, b, sums);
            each(index * group, sums);
        }
    }

    fn f32(&self, a: RowsF32<'_>, b: PanelsF32<'_>, out: &mut [f32]) {
        a.check(b, out);
        let mut panel = 0;
        while panel < b.count {
            let panels = panels_at_once(a.rows).min(b.count - panel);
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
                // SAFETY: an `Avx512Vnni` is reachable only where AVX-512 was detected. `check` above guarantees that
                // the rows and panels of this tile lie inside `a`, `b` and `out`.
                unsafe { dispatch!(f32_tile, ROWS.min(a.rows - row), panels, tile, out) }
            }
            panel += panels;
        }
    }
}

/// Multiplies all rows of `a` with all panels of `b`. `T` is `u8` if `UNSIGNED`, else `i8`. The sums of signed rows
/// start at `initial`, `(a.rows)`; those of unsigned rows start at zero, and `initial` is ignored. Called only by
/// [`Avx512Vnni`].
fn multiply<T: Copy, const UNSIGNED: bool>(a: RowsOf<'_, T>, initial: &[i32], b: &[LineI8], sums: &mut [i32]) {
    let count = a.check(b, sums);
    let width = count * PANEL;
    for row in (0..a.rows).step_by(ROWS) {
        let rows = ROWS.min(a.rows - row);
        let start = a.data[row * a.stride..].as_ptr().cast();
        let initial = if UNSIGNED { &[] } else { &initial[row..row + rows] };
        let mut panel = 0;
        while panel < count {
            let panels = if a.lines() <= 16 && rows < 3 { 1 } else { panels_at_once(rows) }.min(count - panel);
            let b = &b[panel * a.lines()..];
            let tile = Int8Tile { a: start, a_stride: a.stride, b, lines: a.lines(), width };
            let sums = &mut sums[row * width + panel * PANEL..];
            // SAFETY: only an `Avx512Vnni` calls this function, and it is reachable only where AVX-512 VNNI was
            // detected. `check` above guarantees that these `rows` rows and `panels` panels lie inside `a`, `b` and
            // `sums`. `T` is one byte.
            unsafe {
                if UNSIGNED {
                    dispatch!(uint8_tile, rows, panels, tile, sums);
                } else {
                    dispatch!(int8_tile, rows, panels, tile, initial, sums);
                }
            }
            panel += panels;
        }
    }
}

/// Writes to `initial` the value `-128 * sum(a)` for each row. The sums of the row start at this value. Called only
/// by [`Avx512Vnni`].
fn initial_sums(a: RowsI8<'_>, initial: &mut [i32]) {
    for (row, initial) in initial.iter_mut().enumerate().take(a.rows) {
        let (lines, _) = a.data[row * a.stride..][..a.padded_k].as_chunks();
        // SAFETY: only an `Avx512Vnni` calls this function, and it is reachable only where AVX-512 VNNI was detected.
        *initial = -128 * unsafe { sum_of(lines) };
    }
}

/// The sum of all bytes of `lines`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn sum_of(lines: &[[i8; 64]]) -> i32 {
    let ones = _mm512_set1_epi8(1);
    let mut sum = _mm512_setzero_si512();
    for line in lines {
        // SAFETY: the load reads 64 bytes, and `line` has 64.
        let bytes = unsafe { _mm512_loadu_si512(line.as_ptr().cast()) };
        sum = _mm512_dpbusd_epi32(sum, ones, bytes);
    }
    _mm512_reduce_add_epi32(sum)
}

/// The operands of the int8 product of one tile: a few rows by a few panels.
#[derive(Clone, Copy)]
struct Int8Tile<'a> {
    a: *const u8,
    a_stride: usize,
    b: &'a [LineI8],
    /// Number of 64-byte lines in a panel of weights.
    lines: usize,
    /// Elements from the start of one row of sums to the start of the next.
    width: usize,
}

/// Multiplies `R` signed rows with `P` panels.
///
/// # Safety
///
/// The contract of [`sums_of`] holds, and `sums` holds `R` rows of `P * 16` elements, which start `width` elements
/// apart.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn int8_tile<const R: usize, const P: usize>(tile: Int8Tile<'_>, initial: &[i32], sums: &mut [i32]) {
    // SAFETY: this function's contract includes the contracts of `sums_of` and `store`.
    unsafe {
        let total = sums_of::<R, P, false>(tile);
        store::<R, P>(&total, initial.first_chunk().expect("one initial sum for each of the R rows"), tile.width, sums);
    }
}

/// Multiplies `R` unsigned rows with `P` panels.
///
/// # Safety
///
/// The contract of [`int8_tile`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn uint8_tile<const R: usize, const P: usize>(tile: Int8Tile<'_>, sums: &mut [i32]) {
    // SAFETY: this function's contract includes the contracts of `sums_of` and `store`.
    unsafe {
        let total = sums_of::<R, P, true>(tile);
        store::<R, P>(&total, &[0; R], tile.width, sums);
    }
}

/// Computes the sums of a tile and returns them in registers. The initial sums of signed rows are not added yet.
///
/// # Safety
/// `tile.a` points to `R` rows of `lines * 4` bytes, `a_stride` bytes apart. `tile.b` holds `P` panels of `lines`
/// lines.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn sums_of<const R: usize, const P: usize, const UNSIGNED: bool>(tile: Int8Tile<'_>) -> [[__m512i; P]; R] {
    let flip = _mm512_set1_epi8(-128);
    let mut total = [[_mm512_setzero_si512(); P]; R];
    for group in 0..tile.lines {
        let mut lines = [_mm512_setzero_si512(); P];
        for (panel, line) in lines.iter_mut().enumerate() {
            // SAFETY: panel `panel` has a line at index `group`, of 64 bytes aligned to 64, by this function's
            // contract.
            let (start, bytes) = unsafe {
                let start = tile.b.as_ptr().add(panel * tile.lines + group);
                (start, _mm512_load_si512(start.cast()))
            };
            LineI8::prefetch_ahead(start, P * tile.lines);
            *line = if UNSIGNED { bytes } else { _mm512_xor_si512(bytes, flip) };
        }
        for (row, total) in total.iter_mut().enumerate() {
            // SAFETY: row `row` has four bytes at `group * 4`, by this function's contract.
            let a = unsafe { tile.a.add(row * tile.a_stride + group * 4).cast::<i32>().read_unaligned() };
            let a = _mm512_set1_epi32(a);
            for (total, line) in total.iter_mut().zip(&lines) {
                let (unsigned, signed) = if UNSIGNED { (a, *line) } else { (*line, a) };
                *total = _mm512_dpbusd_epi32(*total, unsigned, signed);
            }
        }
    }
    total
}

/// Writes the sums of a tile, after adding `initial[row]` to all sums of a row.
///
/// # Safety
///
/// `sums` holds `R` rows of `P * 16` elements, which start `width` elements apart.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store<const R: usize, const P: usize>(
    total: &[[__m512i; P]; R],
    initial: &[i32; R],
    width: usize,
    sums: &mut [i32],
) {
    for ((row, total), initial) in total.iter().enumerate().zip(initial) {
        for (panel, total) in total.iter().enumerate() {
            let total = _mm512_add_epi32(*total, _mm512_set1_epi32(*initial));
            // SAFETY: `sums` has 16 elements in this row and panel, by this function's contract.
            unsafe { _mm512_storeu_si512(sums.as_mut_ptr().add(row * width + panel * PANEL).cast(), total) };
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
#[target_feature(enable = "avx512f")]
unsafe fn f32_tile<const R: usize, const P: usize>(tile: F32Tile<'_>, out: &mut [f32]) {
    let mut total: [[__m512; P]; R] = [[_mm512_setzero_ps(); P]; R];
    for k in 0..tile.k {
        let mut lines = [_mm512_setzero_ps(); P];
        for (panel, line) in lines.iter_mut().enumerate() {
            // SAFETY: panel `panel` has a line at index `k`, of 16 values aligned to 64 bytes, by this function's
            // contract.
            *line = unsafe { _mm512_load_ps(tile.b.as_ptr().add(panel * tile.b_stride + k).cast()) };
        }
        for (row, total) in total.iter_mut().enumerate() {
            // SAFETY: row `row` has an element at index `k`, by this function's contract.
            let a = _mm512_set1_ps(unsafe { *tile.a.as_ptr().add(row * tile.a_stride + k) });
            for (total, line) in total.iter_mut().zip(&lines) {
                *total = _mm512_fmadd_ps(a, *line, *total);
            }
        }
    }
    for (row, total) in total.iter().enumerate() {
        for (panel, total) in total.iter().enumerate() {
            // SAFETY: `out` has 16 elements in this row and panel, by this function's contract.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr().add(row * tile.width + panel * PANEL), *total) };
        }
    }
}
