//! The product of two int8 tiles with AVX2.
//!
//! The left operand may be -128. The `maddubs` method of the int8 kernel is wrong for that value, because -128 cannot
//! be negated in a byte. So both operands are widened to i16, and `madd` multiplies and adds two `k` at a time.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm_packs_epi16, _mm_storeu_si128, _mm_unpackhi_epi8, _mm_unpacklo_epi8,
    _mm256_add_epi32, _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_extracti128_si256, _mm256_madd_epi16,
    _mm256_packs_epi32, _mm256_permute4x64_epi64, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_srai_epi32,
    _mm256_storeu_si256,
};

use super::contract::SHIFT;

/// Number of columns that are computed at a time, in two registers.
const COLUMNS: usize = 16;
/// Number of rows that are computed at a time. Four rows by two registers are eight independent registers of sums,
/// which hide the latency of the products.
const ROWS: usize = 4;

/// As [`super::product()`], for tiles of `T` by `T`. `PAIRS` is `T / 2`.
///
/// # Safety
/// `a`, `b` and `c` hold `T * T` elements, and `T` is a multiple of 16.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn product<const T: usize, const PAIRS: usize>(a: &[i8], b: &[i8], c: &mut [i8]) {
    const { assert!(PAIRS * 2 == T && T.is_multiple_of(COLUMNS)) };
    let mut left = [[[0_i16; 2]; PAIRS]; T];
    for at in (0..T * T).step_by(16) {
        // SAFETY: `a` and `left` hold `T * T` elements, a multiple of 16, so both have 16 elements starting at `at`.
        unsafe {
            let wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(a.as_ptr().add(at).cast()));
            _mm256_storeu_si256(left.as_mut_ptr().cast::<i16>().add(at).cast(), wide);
        }
    }
    for column in (0..T).step_by(COLUMNS) {
        let mut lines = [[_mm256_setzero_si256(); 2]; PAIRS];
        for (pair, line) in lines.iter_mut().enumerate() {
            // SAFETY: `b` has rows `pair * 2` and `pair * 2 + 1`, and each has 16 columns starting at `column`.
            let [even, odd]: [__m128i; 2] = unsafe {
                let start = b.as_ptr().add(pair * 2 * T + column);
                [_mm_loadu_si128(start.cast()), _mm_loadu_si128(start.add(T).cast())]
            };
            *line = [_mm_unpacklo_epi8(even, odd), _mm_unpackhi_epi8(even, odd)].map(|half| _mm256_cvtepi8_epi16(half));
        }
        for (block, left) in left.as_chunks::<ROWS>().0.iter().enumerate() {
            let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
            for (pair, line) in lines.iter().enumerate() {
                for (left, sums) in left.iter().zip(&mut sums) {
                    let [even, odd] = left[pair].map(|depth| u32::from(depth.cast_unsigned()));
                    let depths = _mm256_set1_epi32((even | odd << 16).cast_signed());
                    for (sum, half) in sums.iter_mut().zip(line) {
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(depths, *half));
                    }
                }
            }
            for (row, sums) in sums.into_iter().enumerate() {
                let at = (block * ROWS + row) * T + column;
                // SAFETY: each row of `c` has 16 columns starting at `column`.
                unsafe { _mm_storeu_si128(c.as_mut_ptr().add(at).cast(), shifted(sums)) };
            }
        }
    }
}

/// The sums of 16 columns, shifted right and clamped to int8. The pack instructions clamp, first to i16 and then to
/// i8.
#[inline]
#[target_feature(enable = "avx2")]
fn shifted([first, second]: [__m256i; 2]) -> __m128i {
    let [first, second] = [_mm256_srai_epi32::<{ SHIFT as i32 }>(first), _mm256_srai_epi32::<{ SHIFT as i32 }>(second)];
    // `packs` interleaves the 128-bit halves of its two operands. Quarters 0, 2, 1, 3 restore the order of the columns.
    let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(first, second));
    _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words))
}
