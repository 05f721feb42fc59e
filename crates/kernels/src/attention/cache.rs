//! What a text has said so far: keys and values of one layer, in f32, a row a position.
//!
//! One query at a time looks them up, so nothing is gained by packing them, and a new position is two rows to copy.

use std::ops::Range;

use crate::cpu::multiversion;
use crate::vector::{LANES, reduce, softmax};
use crate::{Aligned, Cpu};

/// Positions that there is room for at first.
const SMALLEST: usize = 64;
/// Positions looked at together: their keys take a half of the innermost cache.
const ROWS: usize = 8;
/// Channels whose sums are held in registers.
const CHANNELS: usize = 4 * LANES;

/// Keys and values of one layer, all heads side by side, of a text that grows.
#[derive(Debug, Default)]
pub struct Cache {
    /// Elements of a row.
    d: usize,
    /// `(capacity, d)`.
    keys: Aligned<f32>,
    /// `(capacity, d)`.
    values: Aligned<f32>,
}

impl Cache {
    /// Without a position, for rows of `d` elements.
    pub fn new(d: usize) -> Self {
        Self { d, ..Self::default() }
    }

    /// Elements of a row.
    pub fn width(&self) -> usize {
        self.d
    }

    /// Writes key and value, each `(d)`, of one position. Where there is no room, it doubles: most texts need a fraction of
    /// what a model allows.
    ///
    /// # Panics
    /// If the width differs.
    pub fn set(&mut self, position: usize, key: &[f32], value: &[f32]) {
        self.reserve(position + 1);
        self.keys[position * self.d..][..self.d].copy_from_slice(key);
        self.values[position * self.d..][..self.d].copy_from_slice(value);
    }

    /// Takes over the given positions of another cache.
    ///
    /// # Panics
    /// If the width differs, or the other has no such positions.
    pub fn copy_from(&mut self, other: &Self, positions: Range<usize>) {
        assert!(self.d == other.d, "caches of other widths");
        self.reserve(positions.end);
        let elements = positions.start * self.d..positions.end * self.d;
        self.keys[elements.clone()].copy_from_slice(&other.keys[elements.clone()]);
        self.values[elements.clone()].copy_from_slice(&other.values[elements]);
    }

    /// Gives its memory back if that has room for more than `most` positions.
    pub fn shrink(&mut self, most: usize) {
        if self.room() > most {
            *self = Self::new(self.d);
        }
    }

    /// Positions that there is room for.
    pub(super) fn room(&self) -> usize {
        self.keys.len() / self.d
    }

    fn reserve(&mut self, positions: usize) {
        let capacity = self.room();
        if positions > capacity {
            let capacity = (2 * capacity).max(positions).max(SMALLEST);
            self.keys.resize(capacity * self.d);
            self.values.resize(capacity * self.d);
        }
    }

    /// `softmax(query k^T / sqrt(width)) v` over the first `length` positions, of the heads whose columns begin at
    /// `column`; `queries` and `out` are `(heads, width)`, `scores` is memory.
    ///
    /// Goes through the rows once, a few at a time for all heads: a head alone would pick its columns from every row, a
    /// pattern that no prefetcher follows and that falls into a few sets of the innermost cache.
    pub(super) fn attend(
        &self,
        cpu: Cpu,
        (queries, width): (&[f32], usize),
        column: usize,
        length: usize,
        scores: &mut [f32],
        out: &mut [f32],
    ) {
        assert!(0 < length && length * self.d <= self.keys.len(), "attention over positions that were never written");
        for first in (0..length).step_by(ROWS) {
            let rows = &self.keys[first * self.d..length.min(first + ROWS) * self.d];
            for (head, (query, scores)) in queries.chunks_exact(width).zip(scores.chunks_exact_mut(length)).enumerate()
            {
                score(cpu, query, &rows[column + head * width..], self.d, &mut scores[first..]);
            }
        }
        for scores in scores.chunks_exact_mut(length) {
            softmax(cpu, scores, 1.0 / (width as f32).sqrt());
        }
        out.fill(0.0);
        for first in (0..length).step_by(ROWS) {
            let rows = &self.values[first * self.d..length.min(first + ROWS) * self.d];
            for (head, (out, weights)) in out.chunks_exact_mut(width).zip(scores.chunks_exact(length)).enumerate() {
                accumulate(cpu, &weights[first..], &rows[column + head * width..], self.d, out);
            }
        }
    }
}

multiversion! {
    /// `scores[i] = query . keys[i]`, rows being `stride` apart.
    fn score(query: &[f32], keys: &[f32], stride: usize, scores: &mut [f32]) {
        let (chunks, rest) = query.as_chunks::<LANES>();
        for (score, key) in scores.iter_mut().zip(keys.chunks(stride)) {
            let (key_chunks, key_rest) = key[..query.len()].as_chunks::<LANES>();
            let mut partial = [0.0_f32; LANES];
            for (query, key) in chunks.iter().zip(key_chunks) {
                for lane in 0..LANES {
                    partial[lane] = query[lane].mul_add(key[lane], partial[lane]);
                }
            }
            for ((partial, query), key) in partial.iter_mut().zip(rest).zip(key_rest) {
                *partial = query.mul_add(*key, *partial);
            }
            *score = reduce(partial, |a, b| a + b);
        }
    }
}

multiversion! {
    /// `out += sum over i of weights[i] * values[i]`, added up in this order, rows being `stride` apart.
    fn accumulate(weights: &[f32], values: &[f32], stride: usize, out: &mut [f32]) {
        let (blocks, rest) = out.as_chunks_mut::<CHANNELS>();
        let wide = blocks.len() * CHANNELS;
        for (block, out) in blocks.iter_mut().enumerate() {
            let mut total = *out;
            for (weight, value) in weights.iter().zip(values[block * CHANNELS..].chunks(stride)) {
                for channel in 0..CHANNELS {
                    total[channel] = weight.mul_add(value[channel], total[channel]);
                }
            }
            *out = total;
        }
        for (channel, out) in rest.iter_mut().enumerate() {
            let column = values[wide + channel..].iter().step_by(stride);
            *out = weights.iter().zip(column).fold(*out, |total, (weight, value)| weight.mul_add(*value, total));
        }
    }
}
