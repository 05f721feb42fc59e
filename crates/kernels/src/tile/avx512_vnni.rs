//! A product of tiles with AVX-512 VNNI.
//!
//! `vpdpbusd` multiplies unsigned by signed bytes, four depths at a time. Here the left tile is made unsigned, `a + 128`,
//! and what that adds, `128 * sum(b)` of a column, is where the column's sums begin, with the sign turned: so both sides
//! may be anything from -128 to 127.

use std::arch::x86_64::{
    __m128i, __m512i, _mm_loadu_si128, _mm_setr_epi8, _mm_storeu_si128, _mm512_broadcast_i32x4, _mm512_castsi128_si512,
    _mm512_cvtsepi32_epi8, _mm512_dpbusd_epi32, _mm512_inserti32x4, _mm512_loadu_si512, _mm512_permutexvar_epi32,
    _mm512_set1_epi8, _mm512_set1_epi32, _mm512_setr_epi32, _mm512_setzero_si512, _mm512_shuffle_epi8,
    _mm512_srai_epi32, _mm512_store_si512, _mm512_sub_epi32, _mm512_xor_si512,
};

use super::SHIFT;

/// Columns whose sums fill a register.
const COLUMNS: usize = 16;

/// Rows that are computed together: independent sums hide the latency of the products.
const ROWS: usize = 4;

/// A tile that begins at a cache line.
#[repr(align(64))]
struct Unsigned<const T: usize>([[u8; T]; T]);

/// As [`super::product`], for tiles of `T` by `T`; `LINES` is `T / 4`.
///
/// # Safety
/// All three hold `T * T` numbers, and `T` is a multiple of 16.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn product<const T: usize, const LINES: usize>(a: &[i8], b: &[i8], c: &mut [i8]) {
    const { assert!(LINES * 4 == T && T.is_multiple_of(COLUMNS)) };
    let flip = _mm512_set1_epi8(-128);
    let mut left = Unsigned([[0; T]; T]);
    for at in (0..T * T).step_by(64) {
        // SAFETY: `T * T` is a multiple of 64, so that both have 64 bytes there; `left` is aligned to 64.
        unsafe {
            let bytes = _mm512_loadu_si512(a.as_ptr().add(at).cast());
            _mm512_store_si512(left.0.as_mut_ptr().cast::<u8>().add(at).cast(), _mm512_xor_si512(bytes, flip));
        }
    }
    for column in (0..T).step_by(COLUMNS) {
        let mut lines = [_mm512_setzero_si512(); LINES];
        let mut added = _mm512_setzero_si512();
        for (index, line) in lines.iter_mut().enumerate() {
            // SAFETY: the tile has four rows from `index * 4` on, and 16 columns from `column` on.
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
                // SAFETY: the tile has 16 columns from `column` on in that row.
                unsafe { _mm_storeu_si128(c.as_mut_ptr().add(at).cast(), shifted) };
            }
        }
    }
}

/// Four rows of 16 columns, interleaved: the four depths of each column side by side.
///
/// # Safety
/// `start` points to four rows of at least 16 bytes, `T` apart.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn line_of<const T: usize>(start: *const i8) -> __m512i {
    // SAFETY: by this function's contract; rows 16 apart are 64 bytes in a row.
    let rows = unsafe {
        if T == COLUMNS {
            _mm512_loadu_si512(start.cast())
        } else {
            let row = |index: usize| -> __m128i { _mm_loadu_si128(start.add(index * T).cast()) };
            let rows = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(row(0)), row(1));
            _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(rows, row(2)), row(3))
        }
    };
    // Four columns of each row into each quarter, then the four rows of each column side by side.
    let quarters = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let transposed = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_shuffle_epi8(_mm512_permutexvar_epi32(quarters, rows), _mm512_broadcast_i32x4(transposed))
}
