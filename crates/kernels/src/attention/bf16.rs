//! Attention in bf16, for processors that multiply tiles of it.
//!
//! A weight is `2^score`, of scores scaled for that. Nothing is subtracted from them first: bf16 reaches as far as f32,
//! so that the weights of a row may all be large, or all small. So they are made of the scores as these come, while the
//! next ones are multiplied, and divided by their sum at the end. Where that sum shows that scores went too far, they are
//! computed once more, from the largest of each row downwards.

use crate::arena::Lines;
use crate::gemm::{LineBf16, PANEL, RowsBf16, kernel};
use crate::pool::scratch_of;
use crate::vector::{LANES, from_bf16, larger, reduce, to_bf16};
use crate::{Arena, Cpu, Scratch};

/// What the weights of a row may add up to. Below, some that count may have been rounded to zero; above, their products
/// with values may add up to infinity.
const TRUSTED: std::ops::Range<f32> = 1e-12..1e24;

/// Positions, and channels, are padded to what a tile of bf16 holds.
const DEPTH: usize = 32;

/// Lines of `(channels, k)` in panels.
fn lines_of(channels: usize, k: usize) -> usize {
    channels.div_ceil(PANEL) * k.next_multiple_of(DEPTH) / 2
}

/// The keys and values of one head.
#[derive(Debug)]
pub struct HeadBf16 {
    n_ctx: usize,
    width: usize,
    /// `(n_ctx, width)` in panels: a position is an output channel of `q k^T`.
    keys: Lines<LineBf16>,
    /// `(width, n_ctx)` in panels: a position is one `k` of `weights v`.
    values: Lines<LineBf16>,
}

impl HeadBf16 {
    pub(super) fn new(arena: &Arena, n_ctx: usize, width: usize) -> Self {
        let zeros = |channels: usize, k: usize| arena.lines(lines_of(channels, k));
        Self { n_ctx, width, keys: zeros(n_ctx, width), values: zeros(width, n_ctx) }
    }

    /// Becomes `(n_ctx, width)`.
    pub(super) fn reset(&mut self, arena: &Arena, n_ctx: usize, width: usize) {
        (self.n_ctx, self.width) = (n_ctx, width);
        self.keys.reset(arena, lines_of(n_ctx, width));
        self.values.reset(arena, lines_of(width, n_ctx));
    }

    /// `(n_ctx, width)`.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.n_ctx, self.width)
    }

    /// Takes all keys and values, each `(n_ctx, width)`.
    pub(super) fn pack(&mut self, keys: &[u16], values: &[u16]) {
        let Self { n_ctx, width, .. } = *self;
        let key_lines = width.next_multiple_of(DEPTH) / 2;
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
        let value_lines = n_ctx.next_multiple_of(DEPTH) / 2;
        for (pair, values) in values.chunks(2 * width).enumerate() {
            let (even, odd) = values.split_at(width);
            for first in (0..width).step_by(PANEL) {
                let line = &mut self.values[first / PANEL * value_lines + pair].0;
                // The last position may have no other beside it: that place stays zero, as it was made.
                for (pair, even) in line.as_chunks_mut::<2>().0.iter_mut().zip(&even[first..]) {
                    pair[0] = *even;
                }
                for (pair, odd) in line.as_chunks_mut::<2>().0.iter_mut().zip(odd.get(first..).unwrap_or_default()) {
                    pair[1] = *odd;
                }
            }
        }
    }

    /// `queries` is `(rows, width)`; `store(row, values)` takes each row of the result.
    pub(super) fn attend(
        &self,
        cpu: Cpu,
        queries: &[u16],
        scratch: &mut Scratch,
        store: &mut dyn FnMut(usize, &[f32]),
    ) {
        let (width, rows) = (self.width, queries.len() / self.width);
        let (depth, positions) = (width.next_multiple_of(DEPTH), self.n_ctx.next_multiple_of(DEPTH));
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
        let mut weigh_all = |shifts: &[f32], totals: &mut [f32], weights: &mut [u16]| {
            totals.fill(0.0);
            kernel.bf16_by_groups(queries, &self.keys, sums, &mut |panel, scores| {
                let place = Place { column: panel * PANEL, stride: positions, n_ctx: self.n_ctx };
                weigh(cpu, scores, scale, shifts, place, weights, totals);
            });
        };
        shifts.fill(0.0);
        weigh_all(shifts, totals, weights);
        let is_trusted = |totals: &[f32]| TRUSTED.contains(&total(totals));
        if !totals.chunks_exact(LANES).all(is_trusted) {
            let largest = self.largest_scores(cpu, queries);
            for ((shift, largest), totals) in shifts.iter_mut().zip(largest).zip(totals.chunks_exact(LANES)) {
                *shift = if is_trusted(totals) { 0.0 } else { largest * scale };
            }
            weigh_all(shifts, totals, weights);
        }
        // What follows the last panel of positions, up to the end of the tile.
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

    /// The largest score of each query.
    fn largest_scores(&self, cpu: Cpu, queries: RowsBf16<'_>) -> Vec<f32> {
        let mut scores = vec![0.0; queries.rows * self.n_ctx.next_multiple_of(PANEL)];
        kernel(cpu).bf16(queries, &self.keys, &mut scores);
        let rows = scores.chunks_exact(self.n_ctx.next_multiple_of(PANEL));
        rows.map(|row| row[..self.n_ctx].iter().copied().fold(f32::NEG_INFINITY, larger)).collect()
    }
}

fn total(totals: &[f32]) -> f32 {
    totals.first_chunk().map_or(0.0, |totals| reduce(*totals, |a, b| a + b))
}

/// Where the weights of a group of scores go.
#[derive(Clone, Copy)]
struct Place {
    /// The first column.
    column: usize,
    /// Weights from one row to the next.
    stride: usize,
    /// Columns that count; those behind have no weight.
    n_ctx: usize,
}

/// The weights `2^(score * scale - shift)` of a group, `(rows, panels * 16)`, with a shift a row. What they are rounded to
/// is added to `totals`, `(rows, 16)`.
fn weigh(cpu: Cpu, scores: &[f32], scale: f32, shifts: &[f32], place: Place, weights: &mut [u16], totals: &mut [f32]) {
    let count = scores.len() / shifts.len();
    let seen = place.n_ctx.saturating_sub(place.column).min(count);
    let (totals, _) = totals.as_chunks_mut::<LANES>();
    let rows = Rows { scores, count, seen, scale, shifts };
    let weights = &mut weights[place.column..];
    match cpu.isa() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Cpu` of this kind exists only where AVX-512 and its BF16 were detected.
        crate::Isa::Amx => unsafe { avx512::weigh(rows, weights, place.stride, totals) },
        _ => weigh_plainly(rows, weights, place.stride, totals),
    }
}

/// The scores of a group.
#[derive(Clone, Copy)]
struct Rows<'a> {
    /// `(rows, count)`.
    scores: &'a [f32],
    count: usize,
    /// Those of a row that have a weight.
    seen: usize,
    scale: f32,
    /// `(rows)`.
    shifts: &'a [f32],
}

/// `weights` are `stride` apart from row to row.
fn weigh_plainly(rows: Rows<'_>, weights: &mut [u16], stride: usize, totals: &mut [[f32; LANES]]) {
    let Rows { scores, count, seen, scale, shifts } = rows;
    for (((scores, shift), weights), totals) in
        scores.chunks_exact(count).zip(shifts).zip(weights.chunks_mut(stride)).zip(totals)
    {
        for (index, (out, score)) in weights.iter_mut().zip(&scores[..seen]).enumerate() {
            *out = to_bf16(exp2(score.mul_add(scale, -shift)));
            totals[index % LANES] += from_bf16(*out);
        }
        weights[seen..count].fill(0);
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

    use super::{LANES, POLYNOMIAL, Rows};

    /// As [`super::weigh_plainly`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) fn weigh(rows: Rows<'_>, weights: &mut [u16], stride: usize, totals: &mut [[f32; LANES]]) {
        let Rows { scores, count, seen, scale, shifts } = rows;
        // SAFETY: both are 64 bytes of which all bits are values. 0x3f80 is one.
        let ones = unsafe { transmute::<__m512i, __m512bh>(_mm512_set1_epi16(0x3f80)) };
        for (((scores, shift), weights), totals) in
            scores.chunks_exact(count).zip(shifts).zip(weights.chunks_mut(stride)).zip(totals)
        {
            let (weights, scores) = (&mut weights[..count], &scores[..count]);
            // SAFETY: 16 values may be read and written there.
            let mut total = unsafe { _mm512_loadu_ps(totals.as_ptr()) };
            let (pairs, _) = scores[..seen].as_chunks::<{ 2 * LANES }>();
            for (pair, out) in pairs.iter().zip(weights.as_chunks_mut::<{ 2 * LANES }>().0) {
                // SAFETY: a pair is two times 16 scores.
                let (low, high) =
                    unsafe { (_mm512_loadu_ps(pair.as_ptr()), _mm512_loadu_ps(pair.as_ptr().add(LANES))) };
                let rounded = _mm512_cvtne2ps_pbh(weights_of(high, scale, *shift), weights_of(low, scale, *shift));
                total = _mm512_dpbf16_ps(total, rounded, ones);
                // SAFETY: there is room for as many weights.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), transmute::<__m512bh, __m512i>(rounded)) };
            }
            let first = pairs.len() * 2 * LANES;
            if first < count {
                // Ones for the scores that there are, and for those of them that have a weight.
                let ones_of = |length: usize| u32::MAX.unbounded_shr((2 * LANES - length.min(2 * LANES)) as u32);
                let (there, seen) = (ones_of(count - first), ones_of(seen - first));
                let place = scores.as_ptr().wrapping_add(first);
                // SAFETY: there are as many scores as the masks have ones.
                let (low, high) = unsafe {
                    (
                        _mm512_maskz_loadu_ps(seen as u16, place),
                        _mm512_maskz_loadu_ps((seen >> LANES) as u16, place.wrapping_add(LANES)),
                    )
                };
                let low = _mm512_maskz_mov_ps(seen as u16, weights_of(low, scale, *shift));
                let high = _mm512_maskz_mov_ps((seen >> LANES) as u16, weights_of(high, scale, *shift));
                let rounded = _mm512_cvtne2ps_pbh(high, low);
                total = _mm512_dpbf16_ps(total, rounded, ones);
                // SAFETY: there is room for as many weights as there are scores, less than a whole register.
                unsafe {
                    let place = weights.as_mut_ptr().add(first).cast();
                    _mm512_mask_storeu_epi16(place, there, transmute::<__m512bh, __m512i>(rounded));
                }
            }
            // SAFETY: as where they were loaded.
            unsafe { _mm512_storeu_ps(totals.as_mut_ptr(), total) };
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn weights_of(scores: __m512, scale: f32, shift: f32) -> __m512 {
        // 1.5 * 2^23, where floats are one apart.
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

/// `2^x` for magnitudes up to a half, relative error below 8e-5; the last power first.
const POLYNOMIAL: [f32; 4] = [5.517_166_5e-2, 0.242_611_13, 0.693_260_97, 0.999_928_06];

/// `2^x`, zero or infinite where f32 ends.
fn exp2(x: f32) -> f32 {
    let whole = x.round_ties_even();
    let rest = x - whole;
    let y = POLYNOMIAL[1..].iter().fold(POLYNOMIAL[0], |y, coefficient| y.mul_add(rest, *coefficient));
    y * whole.exp2()
}
