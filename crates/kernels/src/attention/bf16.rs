//! Attention in bf16, for processors with bf16 tile instructions (AMX).
//!
//! Softmax usually subtracts the largest score of a row first, so it cannot compute a weight before all scores of the
//! row are known. Here a weight is `2^score`, with scores scaled by `log2(e)`, and nothing is subtracted. This is
//! possible because bf16 has the exponent range of f32. So each group of scores is turned into weights while the next
//! group is multiplied, and the result is divided by the sum of the weights at the end.
//!
//! If the sum of a row is too small or too large to be accurate, the weights are computed again, with the largest
//! score of that row subtracted.

use crate::arena::Lines;
use crate::gemm::{LineBf16, PANEL, RowsBf16, kernel};
use crate::scratch::scratch_of;
use crate::vector::{LANES, from_bf16, larger, reduce, to_bf16};
use crate::{Arena, Cpu, Scratch};

/// Accepted range for the sum of the attention weights of a row. Below this range, weights that matter may have been
/// rounded to zero. Above it, the products of weights and values may overflow to infinity.
const ACCEPTED_TOTALS: std::ops::Range<f32> = 1e-12..1e24;

/// Number of `k` (summation indices) that one bf16 tile instruction multiplies. Positions and channels are padded to
/// a multiple of this number.
const TILE_DEPTH: usize = 32;

/// Number of 64-byte lines that a `(channels, k)` matrix occupies after packing.
fn lines_of(channels: usize, k: usize) -> usize {
    channels.div_ceil(PANEL) * k.next_multiple_of(TILE_DEPTH) / 2
}

/// The packed keys and values of one attention head.
#[derive(Debug)]
pub struct HeadBf16 {
    n_ctx: usize,
    width: usize,
    /// The keys `(n_ctx, width)`, packed in panels. Each position is an output channel of the product `q k^T`.
    keys: Lines<LineBf16>,
    /// The values `(width, n_ctx)`, packed in panels. Each position is one `k` (summation index) of the product
    /// `weights v`.
    values: Lines<LineBf16>,
}

impl HeadBf16 {
    pub(super) fn new(arena: &Arena, n_ctx: usize, width: usize) -> Self {
        let zeros = |channels: usize, k: usize| arena.lines(lines_of(channels, k));
        Self { n_ctx, width, keys: zeros(n_ctx, width), values: zeros(width, n_ctx) }
    }

    /// Sets the shape to `(n_ctx, width)` and all keys and values to zero.
    pub(super) fn reset(&mut self, arena: &Arena, n_ctx: usize, width: usize) {
        (self.n_ctx, self.width) = (n_ctx, width);
        self.keys.reset(arena, lines_of(n_ctx, width));
        self.values.reset(arena, lines_of(width, n_ctx));
    }

    /// The shape `(n_ctx, width)` of the keys and of the values.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.n_ctx, self.width)
    }

    /// Packs the keys and the values of all positions, each matrix `(n_ctx, width)` in bf16 bits.
    pub(super) fn pack(&mut self, keys: &[u16], values: &[u16]) {
        let Self { n_ctx, width, .. } = *self;
        let key_lines = width.next_multiple_of(TILE_DEPTH) / 2;
        for (panel, keys) in keys.chunks(PANEL * width).enumerate() {
            let lines = &mut self.keys[panel * key_lines..][..key_lines];
            for (position, key) in keys.chunks_exact(width).enumerate() {
                let (pairs, odd) = key.as_chunks::<2>();
                for (line, pair) in lines.iter_mut().zip(pairs) {
                    line.0.as_chunks_mut::<2>().0[position] = *pair;
                }
                if let [last] = odd {
                    lines[pairs.len()].0[position * 2] = *last;
                }
            }
        }
        let value_lines = n_ctx.next_multiple_of(TILE_DEPTH) / 2;
        for (pair, values) in values.chunks(2 * width).enumerate() {
            let (even, odd) = values.split_at(width);
            for first in (0..width).step_by(PANEL) {
                let line = &mut self.values[first / PANEL * value_lines + pair].0;
                // A 64-byte line of packed values holds pairs of positions. If `n_ctx` is odd, the final position has
                // no partner, and the other half of its pair is still zero since `reset`.
                for (pair, even) in line.as_chunks_mut::<2>().0.iter_mut().zip(&even[first..]) {
                    pair[0] = *even;
                }
                for (pair, odd) in line.as_chunks_mut::<2>().0.iter_mut().zip(odd.get(first..).unwrap_or_default()) {
                    pair[1] = *odd;
                }
            }
        }
    }

    /// Computes `softmax(queries k^T / sqrt(width)) v`. `queries` is `(rows, width)`, as bf16 bits. `store(row,
    /// values)` is called for each row of the result; `values` is `(width)`.
    pub(super) fn attend(
        &self,
        cpu: Cpu,
        queries: &[u16],
        scratch: &mut Scratch,
        store: &mut dyn FnMut(usize, &[f32]),
    ) {
        let (width, rows) = (self.width, queries.len() / self.width);
        let (depth, positions) = (width.next_multiple_of(TILE_DEPTH), self.n_ctx.next_multiple_of(TILE_DEPTH));
        let Scratch { half, block: sums, block2, .. } = scratch;
        let (padded, weights) = scratch_of(half, rows * (depth + positions)).split_at_mut(rows * depth);
        let queries = if depth == width {
            queries
        } else {
            for (padded, query) in padded.chunks_exact_mut(depth).zip(queries.chunks_exact(width)) {
                padded[..width].copy_from_slice(query);
                padded[width..].fill(0);
            }
            padded
        };
        let queries = RowsBf16 { data: queries, stride: depth, rows, padded_k: depth };
        let (totals, shifts) = scratch_of(block2, rows * (LANES + 1)).split_at_mut(rows * LANES);
        let kernel = kernel(cpu);
        let scale = std::f32::consts::LOG2_E / (width as f32).sqrt();
        let mut compute_weights = |shifts: &[f32], totals: &mut [f32], weights: &mut [u16]| {
            totals.fill(0.0);
            kernel.bf16_by_groups(queries, &self.keys, sums, &mut |panel, scores| {
                let layout = WeightLayout { column: panel * PANEL, stride: positions, n_ctx: self.n_ctx };
                weights_of_group(cpu, scores, scale, shifts, layout, weights, totals);
            });
        };
        shifts.fill(0.0);
        compute_weights(shifts, totals, weights);
        let is_accepted = |totals: &[f32]| ACCEPTED_TOTALS.contains(&total(totals));
        if !totals.chunks_exact(LANES).all(is_accepted) {
            let largest = self.largest_scores(cpu, queries);
            for ((shift, largest), totals) in shifts.iter_mut().zip(largest).zip(totals.chunks_exact(LANES)) {
                *shift = if is_accepted(totals) { 0.0 } else { largest * scale };
            }
            compute_weights(shifts, totals, weights);
        }
        // Set the weights of the padding to zero: the columns between the final panel of 16 positions and the end of
        // the tile.
        for weights in weights.chunks_exact_mut(positions) {
            weights[self.n_ctx.next_multiple_of(PANEL)..].fill(0);
        }
        let weights = RowsBf16 { data: weights, stride: positions, rows, padded_k: positions };
        let padded_width = width.next_multiple_of(PANEL);
        let result = scratch_of(sums, rows * padded_width);
        kernel.bf16(weights, &self.values, result);
        for ((row, values), totals) in result.chunks_exact_mut(padded_width).enumerate().zip(totals.chunks_exact(LANES))
        {
            let inverse = 1.0 / total(totals);
            for value in &mut *values {
                *value *= inverse;
            }
            store(row, &values[..width]);
        }
    }

    /// The largest attention score of each query, `(rows)`.
    fn largest_scores(&self, cpu: Cpu, queries: RowsBf16<'_>) -> Vec<f32> {
        let mut scores = vec![0.0; queries.rows * self.n_ctx.next_multiple_of(PANEL)];
        kernel(cpu).bf16(queries, &self.keys, &mut scores);
        let rows = scores.chunks_exact(self.n_ctx.next_multiple_of(PANEL));
        rows.map(|row| row[..self.n_ctx].iter().copied().fold(f32::NEG_INFINITY, larger)).collect()
    }
}

/// The total of the 16 partial sums that belong to one row.
fn total(totals: &[f32]) -> f32 {
    totals.first_chunk().map_or(0.0, |totals| reduce(*totals, |a, b| a + b))
}

/// Where the attention weights of a group of scores are written.
#[derive(Clone, Copy)]
struct WeightLayout {
    /// The column of the first weight of the group.
    column: usize,
    /// Distance in elements from the start of one row of weights to the start of the next.
    stride: usize,
    /// Number of columns that hold the weight of a position. Later columns are padding and get the weight zero.
    n_ctx: usize,
}

/// Computes the weights `2^(score * scale - shift)` of a group of scores, `(rows, panels * 16)`. `shifts` holds the
/// shift of each row, `(rows)`. The weights are rounded to bf16, and the rounded weights are added to the partial
/// sums in `totals`, `(rows, 16)`.
fn weights_of_group(
    cpu: Cpu,
    scores: &[f32],
    scale: f32,
    shifts: &[f32],
    layout: WeightLayout,
    weights: &mut [u16],
    totals: &mut [f32],
) {
    let count = scores.len() / shifts.len();
    let valid = layout.n_ctx.saturating_sub(layout.column).min(count);
    let (totals, _) = totals.as_chunks_mut::<LANES>();
    let rows = ScoreRows { scores, count, valid, scale, shifts };
    let weights = &mut weights[layout.column..];
    match cpu.isa() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` with AMX exists only after AVX-512 F, BW and BF16 were detected.
        crate::Isa::Amx => unsafe { avx512::weights_of_group(rows, weights, layout.stride, totals) },
        _ => portable_weights_of_group(rows, weights, layout.stride, totals),
    }
}

/// The attention scores of a group, and how they are turned into weights.
#[derive(Clone, Copy)]
struct ScoreRows<'a> {
    /// The scores, `(rows, count)`.
    scores: &'a [f32],
    /// Number of scores in a row, including padding.
    count: usize,
    /// Number of scores in a row that belong to positions. The scores after them are padding.
    valid: usize,
    scale: f32,
    /// The shift of each row, `(rows)`: it is subtracted from the scaled scores.
    shifts: &'a [f32],
}

/// [`weights_of_group`] in plain Rust. The rows of `weights` start `stride` elements apart.
fn portable_weights_of_group(rows: ScoreRows<'_>, weights: &mut [u16], stride: usize, totals: &mut [[f32; LANES]]) {
    let ScoreRows { scores, count, valid, scale, shifts } = rows;
    for (((scores, shift), weights), totals) in
        scores.chunks_exact(count).zip(shifts).zip(weights.chunks_mut(stride)).zip(totals)
    {
        for (index, (out, score)) in weights.iter_mut().zip(&scores[..valid]).enumerate() {
            *out = to_bf16(exp2(score.mul_add(scale, -shift)));
            totals[index % LANES] += from_bf16(*out);
        }
        weights[valid..count].fill(0);
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, _mm512_add_ps, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_fmadd_ps,
        _mm512_fmsub_ps, _mm512_loadu_ps, _mm512_mask_storeu_epi16, _mm512_maskz_loadu_ps, _mm512_maskz_mov_ps,
        _mm512_scalef_ps, _mm512_set1_epi16, _mm512_set1_ps, _mm512_storeu_ps, _mm512_storeu_si512, _mm512_sub_ps,
    };
    use std::mem::transmute;

    use super::{LANES, POLYNOMIAL, ScoreRows};

    /// As [`super::portable_weights_of_group`], with AVX-512 instructions. The results may differ in the lowest bits:
    /// these instructions round ties to even, and they add the weights to `totals` in a different order.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) fn weights_of_group(
        rows: ScoreRows<'_>,
        weights: &mut [u16],
        stride: usize,
        totals: &mut [[f32; LANES]],
    ) {
        let ScoreRows { scores, count, valid, scale, shifts } = rows;
        // The bits 0x3f80 are the bf16 number 1.
        // SAFETY: both types are 64 bytes, and every bit pattern is valid for both.
        let ones = unsafe { transmute::<__m512i, __m512bh>(_mm512_set1_epi16(0x3f80)) };
        for (((scores, shift), weights), totals) in
            scores.chunks_exact(count).zip(shifts).zip(weights.chunks_mut(stride)).zip(totals)
        {
            let (weights, scores) = (&mut weights[..count], &scores[..count]);
            // SAFETY: `totals` is an array of 16 values.
            let mut total = unsafe { _mm512_loadu_ps(totals.as_ptr()) };
            let (pairs, _) = scores[..valid].as_chunks::<{ 2 * LANES }>();
            for (pair, out) in pairs.iter().zip(weights.as_chunks_mut::<{ 2 * LANES }>().0) {
                // SAFETY: `pair` is an array of 32 scores, and each of the two loads reads 16 of them.
                let (low, high) =
                    unsafe { (_mm512_loadu_ps(pair.as_ptr()), _mm512_loadu_ps(pair.as_ptr().add(LANES))) };
                let rounded = _mm512_cvtne2ps_pbh(weights_of(high, scale, *shift), weights_of(low, scale, *shift));
                total = _mm512_dpbf16_ps(total, rounded, ones);
                // SAFETY: `out` is an array of 32 weights of two bytes, as many as one register holds.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), transmute::<__m512bh, __m512i>(rounded)) };
            }
            let first = pairs.len() * 2 * LANES;
            if first < count {
                // Two masks: `remaining` has one bit for each score that is left in the row, and `valid` has one bit
                // for each of those that belongs to a position.
                let mask_of = |length: usize| u32::MAX.unbounded_shr((2 * LANES - length.min(2 * LANES)) as u32);
                let (remaining, valid) = (mask_of(count - first), mask_of(valid - first));
                let start = scores.as_ptr().wrapping_add(first);
                // SAFETY: the masked loads read only scores that exist: `valid` has at most `count - first` bits set.
                let (low, high) = unsafe {
                    (
                        _mm512_maskz_loadu_ps(valid as u16, start),
                        _mm512_maskz_loadu_ps((valid >> LANES) as u16, start.wrapping_add(LANES)),
                    )
                };
                let low = _mm512_maskz_mov_ps(valid as u16, weights_of(low, scale, *shift));
                let high = _mm512_maskz_mov_ps((valid >> LANES) as u16, weights_of(high, scale, *shift));
                let rounded = _mm512_cvtne2ps_pbh(high, low);
                total = _mm512_dpbf16_ps(total, rounded, ones);
                // SAFETY: the masked store writes only `count - first` weights (at most 32), starting at `first`, and
                // `weights` holds `count`.
                unsafe {
                    let out = weights.as_mut_ptr().add(first).cast();
                    _mm512_mask_storeu_epi16(out, remaining, transmute::<__m512bh, __m512i>(rounded));
                }
            }
            // SAFETY: `totals` is an array of 16 values.
            unsafe { _mm512_storeu_ps(totals.as_mut_ptr(), total) };
        }
    }

    /// Computes `2^(score * scale - shift)` for each of 16 scores.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn weights_of(scores: __m512, scale: f32, shift: f32) -> __m512 {
        // This is 1.5 * 2^23. Consecutive floats of this size differ by 1, so adding it to a number rounds that
        // number to an integer.
        let round = _mm512_set1_ps(12_582_912.0);
        let power = _mm512_fmsub_ps(scores, _mm512_set1_ps(scale), _mm512_set1_ps(shift));
        let whole = _mm512_sub_ps(_mm512_add_ps(power, round), round);
        let rest = _mm512_sub_ps(power, whole);
        let mut y = _mm512_set1_ps(POLYNOMIAL[0]);
        for coefficient in &POLYNOMIAL[1..] {
            y = _mm512_fmadd_ps(y, rest, _mm512_set1_ps(*coefficient));
        }
        _mm512_scalef_ps(y, whole)
    }
}

/// Coefficients of a polynomial for `2^x`, highest power first. For `-0.5 <= x <= 0.5` its relative error is below
/// 8e-5, less than bf16 resolves.
const POLYNOMIAL: [f32; 4] = [5.517_166_5e-2, 0.242_611_13, 0.693_260_97, 0.999_928_06];

/// Computes `2^x`. The result is zero below the range of f32 and infinite above it.
fn exp2(x: f32) -> f32 {
    let whole = x.round_ties_even();
    let rest = x - whole;
    let y = POLYNOMIAL[1..].iter().fold(POLYNOMIAL[0], |y, coefficient| y.mul_add(rest, *coefficient));
    y * whole.exp2()
}
