//! The kernel for AVX-VNNI: `vpdpbusd` on 256-bit registers, for processors without AVX-512.
//!
//! Int8 works as in the AVX-512 VNNI kernel: the weights become the unsigned operand, `b + 128`, and the sums of a
//! row start at `-128 * sum(a)` to compensate. Unsigned rows are the unsigned operand themselves and need no
//! correction. F32 products are left to the AVX2 kernel.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_dpbusd_avx_epi32, _mm256_load_si256, _mm256_loadu_si256, _mm256_set1_epi8,
    _mm256_set1_epi32, _mm256_setzero_si256, _mm256_storeu_si256, _mm256_xor_si256,
};
use std::hint::black_box;

use super::avx2::AVX2;
use super::{Kernel, PanelsF32, RowsF32, RowsI8, RowsOf, RowsU8};
use crate::lines::{LineI8, PANEL};
use crate::{Cpu, Isa};

/// The kernel for AVX-VNNI. It is reachable only through [`kernel`].
struct AvxVnni(());

static AVX_VNNI: AvxVnni = AvxVnni(());

pub(super) fn kernel(cpu: Cpu) -> Option<&'static dyn Kernel> {
    (cpu.isa() == Isa::AvxVnni).then_some(&AVX_VNNI)
}

/// Number of rows in a full tile. A tile uses all 16 registers: 12 for the sums of six rows by one panel, two for a
/// 64-byte line of weights, one for four bytes of a row, and one for the constant that makes the weights unsigned.
const ROWS: usize = 6;

/// Number of panels that are multiplied at once. Few rows need several panels, so that there are enough independent
/// sums to hide the latency of `vpdpbusd`. But the operands must fit into the 16 registers: three signed rows by two
/// panels would need 17.
fn panels_at_once(rows: usize, unsigned: bool) -> usize {
    match rows {
        1 => 4,
        2 => 3,
        3 if unsigned => 2,
        _ => 1,
    }
}

impl Kernel for AvxVnni {
    fn isa(&self) -> Isa {
        Isa::AvxVnni
    }

    fn int8(&self, a: RowsI8<'_>, b: &[LineI8], sums: &mut [i32]) {
        multiply::<i8, false>(a, b, sums);
    }

    fn uint8(&self, a: RowsU8<'_>, b: &[LineI8], sums: &mut [i32]) {
        multiply::<u8, true>(a, b, sums);
    }

    fn f32(&self, a: RowsF32<'_>, b: PanelsF32<'_>, out: &mut [f32]) {
        AVX2.f32(a, b, out);
    }
}

/// Multiplies all rows of `a` with all panels of `b`. `T` is `u8` if `UNSIGNED`, else `i8`. Called only by
/// [`AvxVnni`].
fn multiply<T: Copy, const UNSIGNED: bool>(a: RowsOf<'_, T>, b: &[LineI8], sums: &mut [i32]) {
    let count = a.check(b, sums);
    let width = count * PANEL;
    let mut row = 0;
    while row < a.rows {
        // Use tiles of about equal height: a tile of one or two rows at the end would leave arithmetic units idle.
        let left = a.rows - row;
        let rows = left.div_ceil(left.div_ceil(ROWS));
        let start = a.data[row * a.stride..].as_ptr().cast();
        // SAFETY: only an `AvxVnni` calls this function, and it is reachable only where AVX-VNNI was detected.
        // `check` above guarantees that these `rows` rows lie inside `a` and that `padded_k` is a multiple of 64
        // bytes. `T` is one byte.
        let initial = if UNSIGNED { [0; ROWS] } else { unsafe { initial_sums(start, a.stride, rows, a.padded_k) } };
        let mut panel = 0;
        while panel < count {
            let panels = panels_at_once(rows, UNSIGNED).min(count - panel);
            let b = &b[panel * a.lines()..];
            let tile = Tile { a: start, a_stride: a.stride, b, lines: a.lines(), initial: &initial, width };
            let sums = &mut sums[row * width + panel * PANEL..];
            // SAFETY: AVX-VNNI was detected, as explained above. `check` also guarantees that these `panels` panels
            // lie inside `b`, and their sums inside `sums`.
            unsafe {
                match (rows, panels) {
                    (1, 1) => multiply_tile::<1, 1, UNSIGNED>(tile, sums),
                    (1, 2) => multiply_tile::<1, 2, UNSIGNED>(tile, sums),
                    (1, 3) => multiply_tile::<1, 3, UNSIGNED>(tile, sums),
                    (1, _) => multiply_tile::<1, 4, UNSIGNED>(tile, sums),
                    (2, 1) => multiply_tile::<2, 1, UNSIGNED>(tile, sums),
                    (2, 2) => multiply_tile::<2, 2, UNSIGNED>(tile, sums),
                    (2, _) => multiply_tile::<2, 3, UNSIGNED>(tile, sums),
                    (3, 1) => multiply_tile::<3, 1, UNSIGNED>(tile, sums),
                    (3, _) => multiply_tile::<3, 2, UNSIGNED>(tile, sums),
                    (4, _) => multiply_tile::<4, 1, UNSIGNED>(tile, sums),
                    (5, _) => multiply_tile::<5, 1, UNSIGNED>(tile, sums),
                    _ => multiply_tile::<6, 1, UNSIGNED>(tile, sums),
                }
            }
            panel += panels;
        }
        row += rows;
    }
}

/// Computes `-128 * sum(a)` for each row. The sums of the row start at this value.
///
/// # Safety
///
/// `a` points to `rows` rows of `padded_k` bytes, which start `stride` bytes apart; `padded_k` is a multiple of 32.
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn initial_sums(a: *const u8, stride: usize, rows: usize, padded_k: usize) -> [i32; ROWS] {
    let ones = _mm256_set1_epi8(1);
    let mut initial = [0; ROWS];
    for (row, initial) in initial.iter_mut().enumerate().take(rows) {
        let mut sum = _mm256_setzero_si256();
        for k in (0..padded_k).step_by(32) {
            // SAFETY: row `row` has 32 bytes starting at `k`, by this function's contract.
            let bytes = unsafe { _mm256_loadu_si256(a.add(row * stride + k).cast()) };
            sum = _mm256_dpbusd_avx_epi32(sum, ones, bytes);
        }
        let mut lanes = [0; 8];
        // SAFETY: the store writes 32 bytes, and `lanes` has eight elements of four bytes.
        unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sum) };
        *initial = -128 * lanes.iter().sum::<i32>();
    }
    initial
}

/// The operands of the int8 product of one tile: a few rows by a few panels.
#[derive(Clone, Copy)]
struct Tile<'a> {
    a: *const u8,
    a_stride: usize,
    b: &'a [LineI8],
    /// Number of 64-byte lines in a panel of weights.
    lines: usize,
    /// The value that the sums of each row start at.
    initial: &'a [i32; ROWS],
    /// Elements from the start of one row of sums to the start of the next.
    width: usize,
}

/// Multiplies `R` rows with `P` panels.
///
/// # Safety
///
/// `tile.a` points to `R` rows of `lines * 4` bytes, which start `a_stride` bytes apart. `tile.b` holds `P` panels of
/// `lines` lines. `sums` holds `R` rows of `P * 16` elements, which start `width` elements apart.
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn multiply_tile<const R: usize, const P: usize, const UNSIGNED: bool>(tile: Tile<'_>, sums: &mut [i32]) {
    // `black_box` hides the value of the constant from the compiler. Otherwise the compiler would compute the
    // constant again for each line of weights.
    let flip = black_box(_mm256_set1_epi8(-128));
    let mut total: [[[__m256i; 2]; P]; R] = [[[_mm256_setzero_si256(); 2]; P]; R];
    let value = |row: usize, group: usize| {
        // SAFETY: row `row` has four bytes at `group * 4`, by this function's contract.
        let four = unsafe { tile.a.add(row * tile.a_stride + group * 4).cast::<i32>().read_unaligned() };
        _mm256_set1_epi32(four)
    };
    let weights = |panel: usize, half: usize, group: usize| {
        // SAFETY: panel `panel` has a line at index `group`, of 64 bytes aligned to 64, by this function's contract.
        let bytes = unsafe {
            let start: *const __m256i = tile.b.as_ptr().add(panel * tile.lines + group).cast();
            _mm256_load_si256(start.add(half))
        };
        if UNSIGNED { bytes } else { _mm256_xor_si256(bytes, flip) }
    };
    let add = |total: &mut __m256i, a, b| {
        let (unsigned, signed) = if UNSIGNED { (a, b) } else { (b, a) };
        *total = _mm256_dpbusd_avx_epi32(*total, unsigned, signed);
    };
    for group in 0..tile.lines {
        for panel in 0..P {
            LineI8::prefetch_ahead(tile.b.as_ptr().wrapping_add(panel * tile.lines + group), P * tile.lines);
        }
        // Keep the smaller operand in registers, and load the other one from memory when it is needed.
        if P == 1 {
            let lines: [__m256i; 2] = std::array::from_fn(|half| weights(0, half, group));
            for (row, total) in total.iter_mut().enumerate() {
                let a = value(row, group);
                for (total, line) in total[0].iter_mut().zip(lines) {
                    add(total, a, line);
                }
            }
        } else {
            let values: [__m256i; R] = std::array::from_fn(|row| value(row, group));
            for panel in 0..P {
                for half in 0..2 {
                    let line = weights(panel, half, group);
                    for (total, a) in total.iter_mut().zip(values) {
                        add(&mut total[panel][half], a, line);
                    }
                }
            }
        }
    }
    for ((row, total), initial) in total.iter().enumerate().zip(tile.initial) {
        for (half, total) in total.as_flattened().iter().enumerate() {
            let total = _mm256_add_epi32(*total, _mm256_set1_epi32(*initial));
            // SAFETY: `sums` has eight elements in this row and this half of a panel, by this function's contract.
            unsafe { _mm256_storeu_si256(sums.as_mut_ptr().add(row * tile.width + half * 8).cast(), total) };
        }
    }
}
