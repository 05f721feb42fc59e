//! Attention in int8: both products are exact sums of bytes, so every instruction set gives the same bits.
//!
//! Queries and keys have a scale a position, values a scale a channel. The weights of a row are `e^(score - largest)`,
//! unsigned in 1/255; they are divided by their sum only at the end, so the largest always uses the full range, and what
//! rounding takes from the weights it takes from their sum too.

use crate::cpu::multiversion;
use crate::gemm::{PANEL, PackedI8, RowsF32, RowsOf, kernel, padded_k, place};
use crate::pool::scratch_of;
use crate::quantise::{quantise_row, round_to_bits};
use crate::vector::{LANES, larger, maximum, reduce};
use crate::{Aligned, Arena, Cpu, Scratch};

/// The keys and values of one head.
#[derive(Debug)]
pub struct HeadI8 {
    /// `(n_ctx, width)`: a position is an output channel of `q k^T`.
    keys: PackedI8,
    /// `(width, n_ctx)`: a position is one `k` of `weights v`.
    values: PackedI8,
}

impl HeadI8 {
    pub(super) fn new(arena: &Arena, n_ctx: usize, width: usize) -> Self {
        Self { keys: PackedI8::zeros(arena, n_ctx, width), values: PackedI8::zeros(arena, width, n_ctx) }
    }

    /// Becomes `(n_ctx, width)`.
    pub(super) fn reset(&mut self, arena: &Arena, n_ctx: usize, width: usize) {
        self.keys.reset(arena, n_ctx, width);
        self.values.reset(arena, width, n_ctx);
    }

    /// `(n_ctx, width)`.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.keys.n(), self.keys.k())
    }

    /// Takes all keys and values, each `(n_ctx, width)`.
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
            place(position % PANEL, quantised, lines);
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
            // Positions beyond the last stay zero, as they were made.
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

    /// `queries k^T` as exact sums `(rows, n_ctx)`, each row padded to whole panels. The score of a position is its sum
    /// times the scale of its key times the scale of its row, `(rows)`, which holds `1 / sqrt(width)` too.
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

    /// `queries k^T / sqrt(width)`; `store(row, scores)` takes the scores of each row, `(n_ctx)`.
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
            let total = weigh(cpu, scores, self.keys.scales(), *scale, buffer, &mut weights[..n_ctx]);
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
    /// Turns the scores of a row, `scores[i] * scales[i] * scale`, into weights in 1/255 of the largest, and returns
    /// their sum. `buffer` is at least as long as the row.
    fn weigh(scores: &[i32], scales: &[f32], scale: f32, buffer: &mut [f32], weights: &mut [u8]) -> i32 {
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
        // Each was added with the bits of `ROUND`, modulo 2^32: what is left is the sum of the weights.
        reduce(partial, i32::wrapping_add).wrapping_sub((ROUND.to_bits() as i32).wrapping_mul(scores.len() as i32))
    }
}

/// Where floats are one apart: added to a number, it leaves the nearest integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// `255 * 2^x`, rounded, for `x <= 0`, in the low bits of what is otherwise [`ROUND`]. The error of the polynomial of degree
/// 3 is a fiftieth of a step.
#[inline(always)]
fn weight_bits(x: f32) -> u32 {
    /// Anything below this becomes zero, and 2^-16 is still a normal number.
    const LEAST: f32 = -16.0;
    let x = larger(x, LEAST);
    let rounded = x + ROUND;
    let rest = x - (rounded - ROUND);
    let fraction = 14.068_774_f32.mul_add(rest, 61.865_837).mul_add(rest, 176.781_56).mul_add(rest, 254.981_66);
    // The exponent of `fraction`, plus the integer.
    let weight = f32::from_bits(fraction.to_bits().wrapping_add(rounded.to_bits() << 23));
    (weight + ROUND).to_bits()
}

multiversion! {
    /// `largest[i] = max(largest[i], |values[i]|)`.
    fn largest_magnitudes(values: &[f32], largest: &mut [f32]) {
        for (largest, value) in largest.iter_mut().zip(values) {
            *largest = if value.abs() > *largest { value.abs() } else { *largest };
        }
    }
}

multiversion! {
    /// Quantises each value with the inverse scale of its channel.
    fn quantise_channels(values: &[f32], inverse: &[f32], quantised: &mut [i8]) {
        for ((quantised, value), inverse) in quantised.iter_mut().zip(values).zip(inverse) {
            *quantised = round_to_bits((*value * *inverse).clamp(-127.0, 127.0)) as i8;
        }
    }
}
