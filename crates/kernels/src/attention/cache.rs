//! The KV cache of the decoder: keys and values of one layer for one hypothesis, in f32, one row for each position.
//!
//! The cache is not packed into panels, because only one query at a time attends to it and packing would take longer
//! than it saves. So a new position is appended by copying two rows.

use std::ops::Range;

use crate::cpu::multiversion;
use crate::vector::{LANES, reduce, softmax};
use crate::{Aligned, Cpu};

/// Minimum number of positions that memory is allocated for as soon as a position is written.
const MIN_CAPACITY: usize = 64;
/// Number of positions that are processed at a time. Their keys take half of the L1 cache.
const ROWS: usize = 8;
/// Number of channels whose sums are held in registers at the same time.
const CHANNELS: usize = 4 * LANES;

/// The keys and values of one decoder layer for one hypothesis, all heads side by side.
#[derive(Debug, Default)]
pub struct Cache {
    /// Number of elements in a row: the width of all heads together.
    d: usize,
    /// The keys, `(capacity, d)`.
    keys: Aligned<f32>,
    /// The values, `(capacity, d)`.
    values: Aligned<f32>,
}

impl Cache {
    /// An empty cache for rows of `d` elements.
    pub fn new(d: usize) -> Self {
        Self { d, ..Self::default() }
    }

    /// Number of elements in a row, `d`.
    pub fn width(&self) -> usize {
        self.d
    }

    /// Writes the key and the value of one position, each `(d)`.
    ///
    /// The capacity doubles when it is exhausted. Memory for the longest possible hypothesis is not allocated at
    /// once, because most hypotheses need a fraction of it.
    ///
    /// # Panics
    ///
    /// If `key` or `value` is not `d` long.
    pub fn set(&mut self, position: usize, key: &[f32], value: &[f32]) {
        self.reserve(position + 1);
        self.keys[position * self.d..][..self.d].copy_from_slice(key);
        self.values[position * self.d..][..self.d].copy_from_slice(value);
    }

    /// Copies the given positions of another cache to the same positions of this one.
    ///
    /// # Panics
    /// If the widths differ, or `other` does not have these positions.
    pub fn copy_from(&mut self, other: &Self, positions: Range<usize>) {
        assert!(self.d == other.d, "caches of different widths: {} and {}", self.d, other.d);
        self.reserve(positions.end);
        let elements = positions.start * self.d..positions.end * self.d;
        self.keys[elements.clone()].copy_from_slice(&other.keys[elements.clone()]);
        self.values[elements.clone()].copy_from_slice(&other.values[elements]);
    }

    /// If the capacity is more than `max_positions`, frees the memory and leaves the cache empty.
    pub fn shrink(&mut self, max_positions: usize) {
        if self.capacity() > max_positions {
            *self = Self::new(self.d);
        }
    }

    /// Number of positions that memory is allocated for.
    pub(super) fn capacity(&self) -> usize {
        self.keys.len() / self.d
    }

    /// Makes sure that memory for at least `positions` positions is allocated.
    fn reserve(&mut self, positions: usize) {
        let capacity = self.capacity();
        if positions > capacity {
            let capacity = (2 * capacity).max(positions).max(MIN_CAPACITY);
            self.keys.resize(capacity * self.d);
            self.values.resize(capacity * self.d);
        }
    }

    /// Computes `softmax(query k^T / sqrt(width)) v` over the first `length` positions, for the heads whose columns
    /// start at `column`. `queries` and `out` are `(heads, width)`; `scores` is scratch memory of `(heads, length)`.
    ///
    /// A few rows of the cache are processed at a time, for all heads. If one head were processed after another, only
    /// a few columns of every row would be read. The hardware prefetcher does not recognise that access pattern, and
    /// the columns would compete for a few sets of the L1 cache.
    pub(super) fn attend(
        &self,
        cpu: Cpu,
        (queries, width): (&[f32], usize),
        column: usize,
        length: usize,
        scores: &mut [f32],
        out: &mut [f32],
    ) {
        assert!(
            0 < length && length * self.d <= self.keys.len(),
            "attention to {length} positions, but the cache holds fewer"
        );
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
    /// Computes `scores[i] = query . keys[i]`. `query` is `(width)`; rows of `keys` start `stride` elements apart.
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
    /// Computes `out += sum over i of weights[i] * values[i]`, added in the order of `i`. `out` is `(width)`; rows of
    /// `values` start `stride` elements apart.
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
