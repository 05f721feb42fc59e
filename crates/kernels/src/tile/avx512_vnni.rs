//! The product of two int8 tiles with AVX-512 VNNI.
//!
//! `vpdpbusd` multiplies unsigned by signed bytes, four `k` at a time. The left tile is made unsigned, as `a + 128`.
//! This adds `128 * sum(b)` to the sums of a column, so the sums start at `-128 * sum(b)` to compensate. Both
//! operands may have any value from -128 to 127.

use std::arch::x86_64::{
    __m128i, __m512i, _mm_loadu_si128, _mm_setr_epi8, _mm_storeu_si128, _mm512_broadcast_i32x4, _mm512_castsi128_si512,
    _mm512_cvtsepi32_epi8, _mm512_dpbusd_epi32, _mm512_inserti32x4, _mm512_loadu_si512, _mm512_permutexvar_epi32,
    _mm512_set1_epi8, _mm512_set1_epi32, _mm512_setr_epi32, _mm512_setzero_si512, _mm512_shuffle_epi8,
    _mm512_srai_epi32, _mm512_store_si512, _mm512_sub_epi32, _mm512_xor_si512,
};

use super::contract::SHIFT;

/// Number of columns that are computed at a time: their sums fill one register.
const COLUMNS: usize = 16;

/// Number of rows that are computed at a time: their independent sums hide the latency of the products.
const ROWS: usize = 4;

/// A tile of unsigned bytes, aligned to a cache line.
#[repr(align(64))]
struct Unsigned<const T: usize>([[u8; T]; T]);

/// Does the same as [`super::product()`], for tiles of `T` by `T`. `LINES` is `T / 4`, the number of 64-byte lines that
/// hold four depths of 16 columns of `b`.
///
/// # Safety
/// `a`, `b` and `c` hold `T * T` elements, and `T` is a multiple of 16.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn product<const T: usize, const LINES: usize>(a: &[i8], b: &[i8], c: &mut [i8]) {
    const { assert!(LINES * 4 == T && T.is_multiple_of(COLUMNS)) };
    let flip = _mm512_set1_epi8(-128);
    let mut left = Unsigned([[0; T]; T]);
    for at in (0..T * T).step_by(64) {
        // SAFETY: `a` and `left` hold `T * T` bytes, a multiple of 64, so both have 64 bytes starting at `at`. `left`
        // is aligned to 64.
        unsafe {
            let bytes = _mm512_loadu_si512(a.as_ptr().add(at).cast());
            _mm512_store_si512(left.0.as_mut_ptr().cast::<u8>().add(at).cast(), _mm512_xor_si512(bytes, flip));
        }
    }
    for column in (0..T).step_by(COLUMNS) {
        let mut lines = [_mm512_setzero_si512(); LINES];
        let mut added = _mm512_setzero_si512();
        for (index, line) in lines.iter_mut().enumerate() {
            // SAFETY: `b` has four rows starting at row `index * 4`, and each has 16 columns starting at `column`.
            *line = unsafe { line_of::<T>(b.as_ptr().add(index * 4 * T + column)) };
            added = _mm512_dpbusd_epi32(added, flip, *line);
        }
        let begin = _mm512_sub_epi32(_mm512_setzero_si512(), added);
        for (block, left) in left.0.as_chunks::<ROWS>().0.iter().enumerate() {
            let mut sums = [begin; ROWS];
            for (index, line) in lines.iter().enumerate() {
                for (left, sums) in left.iter().zip(&mut sums) {
                    let depths = i32::from_ne_bytes(left.as_chunks::<4>().0[index]);
                    *sums = _mm512_dpbusd_epi32(*sums, _mm512_set1_epi32(depths), *line);
                }
            }
            for (row, sums) in sums.into_iter().enumerate() {
                let shifted = _mm512_cvtsepi32_epi8(_mm512_srai_epi32::<SHIFT>(sums));
                let at = (block * ROWS + row) * T + column;
                // SAFETY: each row of `c` has 16 columns starting at `column`.
                unsafe { _mm_storeu_si128(c.as_mut_ptr().add(at).cast(), shifted) };
            }
        }
    }
}

/// Interleaves four rows of 16 columns: the four `k` of each column become adjacent bytes.
///
/// # Safety
///
/// `start` points to four rows of at least 16 bytes, which start `T` bytes apart.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn line_of<const T: usize>(start: *const i8) -> __m512i {
    // SAFETY: each load reads bytes of the four rows, which are valid by this function's contract. If `T` is 16, the
    // four rows are 64 contiguous bytes.
    let rows = unsafe {
        if T == COLUMNS {
            _mm512_loadu_si512(start.cast())
        } else {
            let row = |index: usize| -> __m128i { _mm_loadu_si128(start.add(index * T).cast()) };
            let rows = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(row(0)), row(1));
            _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(rows, row(2)), row(3))
        }
    };
    // First gather four columns of all four rows in each quarter of the register. Then transpose each quarter.
    let quarters = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let transposed = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_shuffle_epi8(_mm512_permutexvar_epi32(quarters, rows), _mm512_broadcast_i32x4(transposed))
}
