//! The kernel for AVX2 and FMA.
//!
//! Int8: `maddubs` multiplies unsigned by signed bytes and adds pairs of products in i16, with saturation. The
//! unsigned operand is `|b|`, and the signed operand is `a` times the sign of `b`. The sum of a pair is then at most
//! `2 * 127 * 128 = 32512`, so it never saturates. `madd` by ones adds these sums in i32.
//!
//! Unsigned rows hold values up to 255. Each value is split into two addends of at most 128, which are multiplied
//! separately. The sums of pairs of these products lie between -32768 and 32512, so they do not saturate either.

use std::arch::x86_64::{
    __m256, __m256i, _mm256_abs_epi8, _mm256_add_epi32, _mm256_and_si256, _mm256_fmadd_ps, _mm256_load_ps,
    _mm256_load_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32,
    _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_sign_epi8, _mm256_srli_epi16, _mm256_storeu_ps,
    _mm256_storeu_si256, _mm256_sub_epi8,
};

use super::{Kernel, PanelsF32, RowsF32, RowsI8, RowsOf, RowsU8};
use crate::lines::{LineF32, LineI8, PANEL};
use crate::{Cpu, Isa};

/// The kernel for AVX2. It is reachable only through [`kernel`], or from kernels whose instruction sets include AVX2
/// and FMA.
pub(super) struct Avx2(());

pub(super) static AVX2: Avx2 = Avx2(());

pub(super) fn kernel(cpu: Cpu) -> Option<&'static dyn Kernel> {
    (cpu.isa() == Isa::Avx2).then_some(&AVX2)
}

impl Kernel for Avx2 {
    fn isa(&self) -> Isa {
        Isa::Avx2
    }

    fn int8(&self, a: RowsI8<'_>, b: &[LineI8], sums: &mut [i32]) {
        multiply::<i8, false>(a, b, sums);
    }

    fn uint8(&self, a: RowsU8<'_>, b: &[LineI8], sums: &mut [i32]) {
        multiply::<u8, true>(a, b, sums);
    }

    fn f32(&self, a: RowsF32<'_>, b: PanelsF32<'_>, out: &mut [f32]) {
        a.check(b, out);
        // Few rows are multiplied with several panels at once. This gives enough independent sums to hide the latency
        // of an FMA.
        let at_once = match a.rows {
            1 => 4,
            2 | 3 => 2,
            _ => 1,
        };
        let mut panel = 0;
        while panel < b.count {
            let panels = if b.count - panel >= at_once { at_once } else { 1 };
            for row in (0..a.rows).step_by(6) {
                let tile = F32Tile {
                    a: &a.data[row * a.stride..],
                    a_stride: a.stride,
                    b: &b.lines[panel * b.stride..],
                    b_stride: b.stride,
                    k: a.k,
                    out_stride: b.count * PANEL,
                };
                let out = &mut out[(row * b.count + panel) * PANEL..];
                // SAFETY: an `Avx2` is reachable only where AVX2 and FMA were detected. `check` above guarantees that
                // the `min(6, a.rows - row)` rows and `panels` panels of this tile lie inside `a`, `b` and `out`.
                unsafe {
                    match (a.rows - row, panels) {
                        (1, 4) => f32_tile::<1, 4>(tile, out),
                        (1, _) => f32_tile::<1, 1>(tile, out),
                        (2, 2) => f32_tile::<2, 2>(tile, out),
                        (2, _) => f32_tile::<2, 1>(tile, out),
                        (3, 2) => f32_tile::<3, 2>(tile, out),
                        (3, _) => f32_tile::<3, 1>(tile, out),
                        (4, _) => f32_tile::<4, 1>(tile, out),
                        (5, _) => f32_tile::<5, 1>(tile, out),
                        _ => f32_tile::<6, 1>(tile, out),
                    }
                }
            }
            panel += panels;
        }
    }
}

/// Multiplies all rows of `a` with all panels of `b`. `T` is `u8` if `UNSIGNED`, else `i8`. Called only by [`Avx2`].
fn multiply<T: Copy, const UNSIGNED: bool>(a: RowsOf<'_, T>, b: &[LineI8], sums: &mut [i32]) {
    let width = a.check(b, sums) * PANEL;
    for (index, panel) in b.chunks_exact(a.lines()).enumerate() {
        for row in (0..a.rows).step_by(4) {
            let a_rows = a.data[row * a.stride..].as_ptr().cast();
            let sums = &mut sums[row * width + index * PANEL..];
            // SAFETY: only an `Avx2` calls this function, and it is reachable only where AVX2 was detected. `check`
            // above guarantees that the `min(4, a.rows - row)` rows of this tile lie inside `a` and `sums`. `T` is
            // one byte.
            unsafe {
                match a.rows - row {
                    1 => int8_tile::<1, UNSIGNED>(a_rows, a.stride, panel, sums, width),
                    2 => int8_tile::<2, UNSIGNED>(a_rows, a.stride, panel, sums, width),
                    3 => int8_tile::<3, UNSIGNED>(a_rows, a.stride, panel, sums, width),
                    _ => int8_tile::<4, UNSIGNED>(a_rows, a.stride, panel, sums, width),
                }
            }
        }
    }
}

/// Multiplies `R` rows with one panel of 16 output channels.
///
/// # Safety
///
/// `a` points to `R` rows of `panel.len() * 4` bytes, which start `a_stride` bytes apart. `sums` holds `R` rows of 16
/// elements, which start `width` elements apart.
#[target_feature(enable = "avx2")]
unsafe fn int8_tile<const R: usize, const UNSIGNED: bool>(
    a: *const u8,
    a_stride: usize,
    panel: &[LineI8],
    sums: &mut [i32],
    width: usize,
) {
    let ones = _mm256_set1_epi16(1);
    let mut total = [[_mm256_setzero_si256(); 2]; R];
    for (group, line) in panel.iter().enumerate() {
        LineI8::prefetch_ahead(line, panel.len());
        let line: *const __m256i = line.0.as_ptr().cast();
        // SAFETY: a line of packed weights is 64 bytes long and aligned to 64.
        let b = unsafe { [_mm256_load_si256(line), _mm256_load_si256(line.add(1))] };
        for (row, total) in total.iter_mut().enumerate() {
            // SAFETY: row `row` has four bytes at `group * 4`, by this function's contract.
            let a = unsafe { a.add(row * a_stride + group * 4).cast::<i32>().read_unaligned() };
            let a = _mm256_set1_epi32(a);
            for (total, b) in total.iter_mut().zip(b) {
                let four = if UNSIGNED {
                    let small = _mm256_and_si256(_mm256_srli_epi16(a, 1), _mm256_set1_epi8(127));
                    let large = _mm256_sub_epi8(a, small);
                    _mm256_add_epi32(
                        _mm256_madd_epi16(_mm256_maddubs_epi16(small, b), ones),
                        _mm256_madd_epi16(_mm256_maddubs_epi16(large, b), ones),
                    )
                } else {
                    let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(b), _mm256_sign_epi8(a, b));
                    _mm256_madd_epi16(pairs, ones)
                };
                *total = _mm256_add_epi32(*total, four);
            }
        }
    }
    for (row, total) in total.iter().enumerate() {
        // SAFETY: `sums` has 16 elements at `row * width`, by this function's contract.
        unsafe {
            let out: *mut __m256i = sums.as_mut_ptr().add(row * width).cast();
            _mm256_storeu_si256(out, total[0]);
            _mm256_storeu_si256(out.add(1), total[1]);
        }
    }
}

/// The operands of [`f32_tile`]. The strides of `a` and `out` are in elements, that of `b` is in lines.
#[derive(Clone, Copy)]
struct F32Tile<'a> {
    a: &'a [f32],
    a_stride: usize,
    b: &'a [LineF32],
    b_stride: usize,
    k: usize,
    out_stride: usize,
}

/// Multiplies `R` rows with `P` panels in f32.
///
/// # Safety
///
/// `tile.a` holds `R` rows of `k` elements, `a_stride` apart. `tile.b` holds `P` panels of `k` lines, `b_stride`
/// apart. `out` holds `R` rows of `P * 16` elements, `out_stride` apart.
#[target_feature(enable = "avx2,fma")]
unsafe fn f32_tile<const R: usize, const P: usize>(tile: F32Tile<'_>, out: &mut [f32]) {
    let mut total: [[[__m256; 2]; P]; R] = [[[_mm256_setzero_ps(); 2]; P]; R];
    for k in 0..tile.k {
        let mut lines = [[_mm256_setzero_ps(); 2]; P];
        for (panel, line) in lines.iter_mut().enumerate() {
            // SAFETY: panel `panel` has a line at index `k`, of 16 values aligned to 64 bytes, by this function's
            // contract.
            *line = unsafe {
                let start = tile.b.as_ptr().add(panel * tile.b_stride + k).cast::<f32>();
                [_mm256_load_ps(start), _mm256_load_ps(start.add(8))]
            };
        }
        for (row, total) in total.iter_mut().enumerate() {
            // SAFETY: row `row` has an element at index `k`, by this function's contract.
            let a = _mm256_set1_ps(unsafe { *tile.a.as_ptr().add(row * tile.a_stride + k) });
            for (total, line) in total.iter_mut().zip(&lines) {
                total[0] = _mm256_fmadd_ps(a, line[0], total[0]);
                total[1] = _mm256_fmadd_ps(a, line[1], total[1]);
            }
        }
    }
    for (row, total) in total.iter().enumerate() {
        for (panel, total) in total.iter().enumerate() {
            // SAFETY: `out` has 16 elements in this row and panel, by this function's contract.
            unsafe {
                let out = out.as_mut_ptr().add(row * tile.out_stride + panel * PANEL);
                _mm256_storeu_ps(out, total[0]);
                _mm256_storeu_ps(out.add(8), total[1]);
            }
        }
    }
}
