//! Attention in int8. Both products are exact integer sums, so every instruction set gives the same bits.
//!
//! Queries and keys are quantised with one scale for each position, values with one for each channel. The weight of a
//! score is `e^(score - largest)`, rounded to an unsigned byte in units of 1/255. The largest weight of a row is
//! therefore 255, the full range of a byte. The result is divided by the sum of the rounded weights, so rounding
//! changes the numerator and the denominator alike.

use crate::cpu::multiversion;
use crate::gemm::{PackedI8, RowsF32, RowsOf, kernel, write_channel};
use crate::lines::{PANEL, padded_k};
use crate::quantise::{quantise_row, round_to_bits};
use crate::scratch::scratch_of;
use crate::vector::{LANES, larger, maximum, reduce};
use crate::{Aligned, Arena, Cpu, Scratch};

/// The packed keys and values of one attention head, in int8.
#[derive(Debug)]
pub struct HeadI8 {
    /// The keys `(n_ctx, width)`. Each position is an output channel of the product `q k^T`.
    keys: PackedI8,
    /// The values `(width, n_ctx)`. Each position is one `k` (summation index) of the product `weights v`.
    values: PackedI8,
}

impl HeadI8 {
    pub(super) fn new(arena: &Arena, n_ctx: usize, width: usize) -> Self {
        Self { keys: PackedI8::zeros(arena, n_ctx, width), values: PackedI8::zeros(arena, width, n_ctx) }
    }

    /// Sets the shape to `(n_ctx, width)` and all keys and values to zero.
    pub(super) fn reset(&mut self, arena: &Arena, n_ctx: usize, width: usize) {
        self.keys.reset(arena, n_ctx, width);
        self.values.reset(arena, width, n_ctx);
    }

    /// The shape `(n_ctx, width)` of the keys and of the values.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.keys.n(), self.keys.k())
    }

    /// Quantises and packs the keys and the values of all positions, each matrix `(n_ctx, width)`.
    pub(super) fn pack(&mut self, cpu: Cpu, keys: &[f32], values: &[f32], scratch: &mut Scratch) {
        let (n_ctx, width) = self.shape();
        let key = |position: usize| &keys[position * width..][..width];
        let value = |position: usize| &values[position * width..][..width];

        let bytes = scratch_of(&mut scratch.bytes, 4 * width);
        let (lines, scales) = self.keys.parts();
        let panel_lines = padded_k(width) / 4;
        for (position, scale) in (0..n_ctx).zip(scales) {
            let quantised = &mut bytes[..width];
            *scale = quantise_row(cpu, key(position), quantised);
            let lines = &mut lines[position / PANEL * panel_lines..];
            write_channel(position % PANEL, quantised, lines);
        }

        let inverse = scratch_of(&mut scratch.block, width);
        inverse.fill(0.0);
        (0..n_ctx).for_each(|position| largest_magnitudes(cpu, value(position), inverse));
        let (lines, scales) = self.values.parts();
        for (inverse, scale) in inverse.iter_mut().zip(scales) {
            *scale = *inverse / 127.0;
            *inverse = if *inverse > 0.0 { 127.0 / *inverse } else { 0.0 };
        }
        let panel_lines = padded_k(n_ctx) / 4;
        for first in (0..n_ctx).step_by(4) {
            // `reset` has set the padding after the final position to zero, and it must stay zero. So write only the
            // positions that exist.
            for (offset, quantised) in bytes.chunks_exact_mut(width).enumerate().take(n_ctx - first) {
                quantise_channels(cpu, value(first + offset), inverse, quantised);
            }
            let positions = 4.min(n_ctx - first);
            for (panel, channels) in (0..width).step_by(PANEL).enumerate() {
                let line = &mut lines[panel * panel_lines + first / 4].0;
                for channel in channels..width.min(channels + PANEL) {
                    for offset in 0..positions {
                        line[(channel - channels) * 4 + offset] = bytes[offset * width + channel];
                    }
                }
            }
        }
    }

    /// Computes `queries k^T` as exact integer sums, `(rows, n_ctx)`, each row padded to whole panels of 16
    /// positions.
    ///
    /// Writes a scale for each row to `scales`, `(rows)`. The scale includes the factor `1 / sqrt(width)`. The score
    /// of a position is its sum times the scale of its key times the scale of the row.
    fn products<'s>(
        &self,
        cpu: Cpu,
        queries: RowsF32<'_>,
        bytes: &mut Aligned<i8>,
        scales: &mut [f32],
        sums: &'s mut Aligned<i32>,
    ) -> &'s mut [i32] {
        let (n_ctx, width) = self.shape();
        let (depth, padded_length) = (padded_k(width), n_ctx.next_multiple_of(PANEL));
        let quantised = scratch_of(bytes, queries.rows * depth);
        quantised.fill(0);
        for (row, (quantised, scale)) in quantised.chunks_exact_mut(depth).zip(scales).enumerate() {
            *scale = quantise_row(cpu, queries.row(row), &mut quantised[..width]) / (width as f32).sqrt();
        }
        let rows = RowsOf { data: quantised, stride: depth, rows: queries.rows, padded_k: depth };
        let products = scratch_of(sums, queries.rows * padded_length);
        kernel(cpu).int8(rows, self.keys.panels(0, padded_length / PANEL), products);
        products
    }

    /// Computes the attention scores `queries k^T / sqrt(width)`. `queries` is `(rows, width)`. `store(row, scores)`
    /// is called for each row; `scores` is `(n_ctx)`.
    pub(super) fn scores(
        &self,
        cpu: Cpu,
        queries: RowsF32<'_>,
        scratch: &mut Scratch,
        store: &mut dyn FnMut(usize, &mut [f32]),
    ) {
        let n_ctx = self.shape().0;
        let Scratch { sums, bytes, block, block2, .. } = scratch;
        let scales = scratch_of(block2, queries.rows);
        let products = self.products(cpu, queries, bytes, scales, sums);
        let scores = scratch_of(block, n_ctx);
        for (row, (products, scale)) in products.chunks_exact(n_ctx.next_multiple_of(PANEL)).zip(scales).enumerate() {
            for ((score, product), key) in scores.iter_mut().zip(products).zip(self.keys.scales()) {
                *score = *product as f32 * *key * *scale;
            }
            store(row, scores);
        }
    }

    /// Computes `softmax(queries k^T / sqrt(width)) v`. `queries` is `(rows, width)`. `store(row, values)` is called
    /// for each row of the result; `values` is `(width)`.
    pub(super) fn attend(
        &self,
        cpu: Cpu,
        queries: RowsF32<'_>,
        scratch: &mut Scratch,
        store: &mut dyn FnMut(usize, &[f32]),
    ) {
        let (n_ctx, width) = self.shape();
        let padded_length = n_ctx.next_multiple_of(PANEL);
        let (padded_n_ctx, padded_width) = (padded_k(n_ctx), width.next_multiple_of(PANEL));
        let Scratch { sums, bytes, unsigned, block, block2, .. } = scratch;

        let scales = scratch_of(block2, queries.rows.max(width));
        let scores = self.products(cpu, queries, bytes, scales, sums);

        let weights = scratch_of(unsigned, queries.rows * padded_n_ctx);
        let buffer = scratch_of(block, n_ctx);
        for (row, scale) in scales.iter_mut().enumerate().take(queries.rows) {
            let weights = &mut weights[row * padded_n_ctx..][..padded_n_ctx];
            let scores = &scores[row * padded_length..][..n_ctx];
            weights[n_ctx..].fill(0);
            let total = softmax_weights(cpu, scores, self.keys.scales(), *scale, buffer, &mut weights[..n_ctx]);
            *scale = 1.0 / total as f32;
        }
        let rows = RowsOf { data: weights, stride: padded_n_ctx, rows: queries.rows, padded_k: padded_n_ctx };
        let result = scratch_of(sums, queries.rows * padded_width);
        kernel(cpu).uint8(rows, self.values.panels(0, padded_width / PANEL), result);
        let values = scratch_of(block, width);
        for (row, (sums, scale)) in result.chunks_exact(padded_width).zip(&*scales).enumerate() {
            for ((value, sum), channel) in values.iter_mut().zip(sums).zip(self.values.scales()) {
                *value = *sum as f32 * (scale * channel);
            }
            store(row, values);
        }
    }
}

multiversion! {
    /// Turns the scores of a row, `scores[i] * scales[i] * scale`, into attention weights and returns the sum of the
    /// weights. The unit of the weights is 1/255 of the largest weight. `buffer` is scratch memory, at least as long
    /// as the row.
    fn softmax_weights(scores: &[i32], scales: &[f32], scale: f32, buffer: &mut [f32], weights: &mut [u8]) -> i32 {
        let buffer = &mut buffer[..scores.len()];
        for ((value, score), key) in buffer.iter_mut().zip(scores).zip(scales) {
            *value = *score as f32 * *key;
        }
        let largest = maximum(buffer);
        let scale = scale * std::f32::consts::LOG2_E;
        let shift = -largest * scale;
        let (values, values_left) = buffer.as_chunks::<LANES>();
        let (chunks, weights_left) = weights.as_chunks_mut::<LANES>();
        let mut partial = [0_i32; LANES];
        for (weights, values) in chunks.iter_mut().zip(values) {
            for ((total, out), value) in partial.iter_mut().zip(weights).zip(values) {
                let bits = weight_bits(value.mul_add(scale, shift));
                *out = bits as u8;
                *total = total.wrapping_add(bits as i32);
            }
        }
        for ((total, out), value) in partial.iter_mut().zip(weights_left).zip(values_left) {
            let bits = weight_bits(value.mul_add(scale, shift));
            *out = bits as u8;
            *total = total.wrapping_add(bits as i32);
        }
        // Each addend was a weight plus the bits of `ROUND`. Subtracting the bits of `ROUND` once for each addend,
        // modulo 2^32, leaves the sum of the weights.
        reduce(partial, i32::wrapping_add).wrapping_sub((ROUND.to_bits() as i32).wrapping_mul(scores.len() as i32))
    }
}

/// This is 1.5 * 2^23. Consecutive floats of this size differ by 1, so adding it to a number leaves the nearest
/// integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// Computes `255 * 2^x` for `x <= 0`, rounded to an integer. The bits of the result are that integer plus the bits of
/// [`ROUND`].
///
/// A polynomial of degree 3 approximates `2^x`. Its error is 1/50 of the rounding step.
#[inline(always)]
fn weight_bits(x: f32) -> u32 {
    /// The attention weight of an exponent at or below this value rounds to zero. Clamping to it keeps the arithmetic
    /// on the exponent bits within normal floats.
    const MIN_EXPONENT: f32 = -16.0;
    let x = larger(x, MIN_EXPONENT);
    let rounded = x + ROUND;
    let rest = x - (rounded - ROUND);
    let fraction = 14.068_774_f32.mul_add(rest, 61.865_837).mul_add(rest, 176.781_56).mul_add(rest, 254.981_66);
    // Add the integer part of `x` to the exponent of `fraction`.
    let weight = f32::from_bits(fraction.to_bits().wrapping_add(rounded.to_bits() << 23));
    (weight + ROUND).to_bits()
}

multiversion! {
    /// Updates `largest[i]` to the larger of `largest[i]` and `|values[i]|`.
    fn largest_magnitudes(values: &[f32], largest: &mut [f32]) {
        for (largest, value) in largest.iter_mut().zip(values) {
            *largest = if value.abs() > *largest { value.abs() } else { *largest };
        }
    }
}

multiversion! {
    /// Quantises the values of one position, `(width)`. `inverse` holds the reciprocal of the scale of each channel,
    /// `(width)`.
    fn quantise_channels(values: &[f32], inverse: &[f32], quantised: &mut [i8]) {
        for ((quantised, value), inverse) in quantised.iter_mut().zip(values).zip(inverse) {
            *quantised = round_to_bits((*value * *inverse).clamp(-127.0, 127.0)) as i8;
        }
    }
}
