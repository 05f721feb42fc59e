//! The roofline loops for AVX2 and AVX-512: they measure the maximum speed of arithmetic and of memory reads.

use std::arch::x86_64::{
    __m256, __m256i, __m512, __m512bh, __m512i, _mm256_add_epi8, _mm256_add_epi32, _mm256_dpbusd_avx_epi32,
    _mm256_fmadd_ps, _mm256_load_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_or_si256, _mm256_set1_epi8,
    _mm256_set1_epi16, _mm256_set1_ps, _mm256_setzero_si256, _mm256_sign_epi8, _mm512_dpbf16_ps, _mm512_dpbusd_epi32,
    _mm512_fmadd_ps, _mm512_load_si512, _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_set1_ps,
    _mm512_setzero_si512,
};
use std::hint::black_box;

use super::portable::CHAINS;
use crate::lines::LineI8;

/// Number of parts of a slice that are read at the same time. With several parts, a core has more memory requests in
/// flight than with one.
const STREAMS: usize = 4;
/// Number of consecutive 64-byte lines that are read from one part of the slice before the loop goes on to the next
/// part.
const LINES_PER_TURN: usize = 2;

/// Executes AVX-512 VNNI int8 multiply-add instructions for `rounds` rounds. Returns the number of products in one
/// round.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn int8_avx512_vnni(rounds: usize) -> usize {
    let (a, b) = (_mm512_set1_epi8(black_box(3)), _mm512_set1_epi8(black_box(5)));
    let mut total: [__m512i; CHAINS] = [a; CHAINS];
    for _ in 0..rounds {
        for total in &mut total {
            *total = _mm512_dpbusd_epi32(*total, a, b);
        }
    }
    black_box(total);
    64 * CHAINS
}

/// Executes AVX-VNNI int8 multiply-add instructions for `rounds` rounds. Returns the number of products in one round.
#[target_feature(enable = "avx2,avxvnni")]
pub(super) fn int8_avx_vnni(rounds: usize) -> usize {
    let (a, b) = (_mm256_set1_epi8(black_box(3)), _mm256_set1_epi8(black_box(5)));
    let mut total: [__m256i; CHAINS] = [a; CHAINS];
    for _ in 0..rounds {
        for total in &mut total {
            *total = _mm256_dpbusd_avx_epi32(*total, a, b);
        }
    }
    black_box(total);
    32 * CHAINS
}

/// Executes AVX2 int8 multiply-add instructions for `rounds` rounds. Returns the number of products in one round.
#[target_feature(enable = "avx2")]
pub(super) fn int8_avx2(rounds: usize) -> usize {
    let (ones, step, b) = (_mm256_set1_epi16(1), _mm256_set1_epi8(1), _mm256_set1_epi8(black_box(5)));
    let mut a = b;
    let mut total: [__m256i; CHAINS] = [a; CHAINS];
    for _ in 0..rounds {
        // Change the factor `a` each round; otherwise the compiler would move the product out of the loop. Let its
        // sign depend on the sum; otherwise the compiler would compute one product for all sums.
        a = _mm256_add_epi8(a, step);
        for total in &mut total {
            let pairs = _mm256_maddubs_epi16(b, _mm256_sign_epi8(a, *total));
            *total = _mm256_add_epi32(*total, _mm256_madd_epi16(pairs, ones));
        }
    }
    black_box(total);
    32 * CHAINS
}

/// Executes AVX-512 f32 multiply-add instructions for `rounds` rounds. Returns the number of products in one round.
#[target_feature(enable = "avx512f")]
pub(super) fn f32_avx512(rounds: usize) -> usize {
    let a = _mm512_set1_ps(black_box(0.5));
    let mut total: [__m512; CHAINS] = [a; CHAINS];
    for _ in 0..rounds {
        for total in &mut total {
            *total = _mm512_fmadd_ps(*total, a, a);
        }
    }
    black_box(total);
    16 * CHAINS
}

/// Executes FMA f32 multiply-add instructions for `rounds` rounds. Returns the number of products in one round.
#[target_feature(enable = "avx2,fma")]
pub(super) fn f32_avx2(rounds: usize) -> usize {
    let a = _mm256_set1_ps(black_box(0.5));
    let mut total: [__m256; CHAINS] = [a; CHAINS];
    for _ in 0..rounds {
        for total in &mut total {
            *total = _mm256_fmadd_ps(*total, a, a);
        }
    }
    black_box(total);
    8 * CHAINS
}

/// Executes AVX-512 bf16 multiply-add instructions for `rounds` rounds. Returns the number of products in one round.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn bf16_avx512(rounds: usize) -> usize {
    // The bits of the bf16 number 0.5.
    let halves = _mm512_set1_epi16(black_box(0x3f00));
    // SAFETY: both types are 64 bytes, and every bit pattern is valid for both.
    let a = unsafe { std::mem::transmute::<__m512i, __m512bh>(halves) };
    let mut total: [__m512; CHAINS] = [_mm512_set1_ps(0.0); CHAINS];
    for _ in 0..rounds {
        for total in &mut total {
            *total = _mm512_dpbf16_ps(*total, a, a);
        }
    }
    black_box(total);
    32 * CHAINS
}

/// Reads every 64-byte line once, with AVX-512 loads.
#[target_feature(enable = "avx512f")]
pub(super) fn read_avx512(lines: &[LineI8]) {
    let mut accumulators: [__m512i; STREAMS * LINES_PER_TURN] = [_mm512_setzero_si512(); STREAMS * LINES_PER_TURN];
    each_line(lines, &mut accumulators, |accumulators, line| {
        // SAFETY: the load reads one line, which is 64 bytes long and aligned to 64.
        *accumulators = _mm512_or_si512(*accumulators, unsafe { _mm512_load_si512((&raw const *line).cast()) });
    });
    black_box(accumulators);
}

/// Reads every 64-byte line once, with AVX2 loads.
#[target_feature(enable = "avx2")]
pub(super) fn read_avx2(lines: &[LineI8]) {
    let mut accumulators: [__m256i; STREAMS * LINES_PER_TURN] = [_mm256_setzero_si256(); STREAMS * LINES_PER_TURN];
    each_line(lines, &mut accumulators, |accumulators, line| {
        let halves = (&raw const *line).cast::<__m256i>();
        // SAFETY: the loads read the two halves of one line, which is 64 bytes long and aligned to 64.
        let (low, high) = unsafe { (_mm256_load_si256(halves), _mm256_load_si256(halves.add(1))) };
        *accumulators = _mm256_or_si256(*accumulators, _mm256_or_si256(low, high));
    });
    black_box(accumulators);
}

/// Calls `read(accumulators, line)` for every line, alternating between several parts of the slice. Each of the lines
/// read in a round has its own element of `accumulators`, so that no load waits for another.
#[inline(always)]
#[allow(clippy::inline_always, reason = "inlining into each version is what compiles it for that version")]
fn each_line<T>(
    lines: &[LineI8],
    accumulators: &mut [T; STREAMS * LINES_PER_TURN],
    mut read: impl FnMut(&mut T, &LineI8),
) {
    let length = lines.len() / (STREAMS * LINES_PER_TURN);
    let (pairs, rest) = lines.as_chunks::<LINES_PER_TURN>();
    let [a, b, c, d] = std::array::from_fn(|stream: usize| &pairs[stream * length..][..length]);
    for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
        for (line, accumulators) in [a, b, c, d].into_iter().flatten().zip(&mut *accumulators) {
            read(accumulators, line);
        }
    }
    for (line, accumulators) in pairs[STREAMS * length..].iter().flatten().chain(rest).zip(accumulators) {
        read(accumulators, line);
    }
}
