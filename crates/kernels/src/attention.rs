//! Scaled dot-product attention (Vaswani et al., arXiv 1706.03762) in blocks: scores of a few queries at a time live in
//! scratch, the full matrix of scores never exists.
//!
//! Keys and values are kept packed ([`KeyValues`]) so that both products, `q k^T` and `weights v`, are the f32 kernel of
//! [`crate::gemm`] with its right-hand side streamed in order.

use crate::gemm::{PANEL, PackedF32, RowsF32, kernel};
use crate::pool::{Disjoint, scratch_of};
use crate::vector::softmax;
use crate::{Context, Cpu, Pool, Scratch};

/// Queries of a block: their 1,500 scores take 192 KiB.
const BLOCK: usize = 32;

/// The keys and values of one head, for up to `capacity` positions of width `width`.
#[derive(Clone, Debug)]
pub struct KeyValues {
    /// `(capacity, width)`: a position is an output channel of `q k^T`.
    keys: PackedF32,
    /// `(width, capacity)`: a position is one `k` of `weights v`.
    values: PackedF32,
}

impl KeyValues {
    /// Room for `capacity` positions, all zero.
    pub fn new(capacity: usize, width: usize) -> Self {
        Self { keys: PackedF32::zeros(capacity, width), values: PackedF32::zeros(width, capacity) }
    }

    /// Writes key and value, each `(width)`, of one position.
    ///
    /// # Panics
    /// If the position is beyond the capacity or the width differs.
    pub fn set(&mut self, position: usize, key: &[f32], value: &[f32]) {
        self.keys.set_channel(position, key);
        self.values.set_element(position, value);
    }

    /// Packs the keys and values of all heads: `kv` is `(n_ctx, 2 * d)`, keys of all heads, then values. `packed` becomes
    /// `(heads)` and keeps its memory where it already has that shape.
    ///
    /// # Panics
    /// If `heads` does not divide the width.
    pub fn pack(pool: &Pool, kv: RowsF32<'_>, heads: usize, packed: &mut Vec<Self>) {
        let (n_ctx, d) = (kv.rows, kv.k / 2);
        let width = d / heads;
        assert_eq!(width * heads * 2, kv.k, "keys and values of another shape");
        if packed.len() != heads || packed.iter().any(|head| head.capacity() != n_ctx || head.width() != width) {
            *packed = vec![Self::new(n_ctx, width); heads];
        }
        pool.chunks_mut(packed, 1, &|head, packed, _| {
            for position in 0..n_ctx {
                let (keys, values) = kv.row(position).split_at(d);
                let columns = head * width..(head + 1) * width;
                packed[0].set(position, &keys[columns.clone()], &values[columns]);
            }
        });
    }

    /// Positions there is room for.
    pub fn capacity(&self) -> usize {
        self.keys.n()
    }

    fn width(&self) -> usize {
        self.keys.k()
    }

    /// `softmax(queries k^T / sqrt(width)) v` over the first `length` positions; `queries` is `(rows, width)`, and
    /// `store(row, values)` takes each row of the result.
    fn attend(
        &self,
        cpu: Cpu,
        queries: RowsF32<'_>,
        length: usize,
        scratch: &mut Scratch,
        store: &mut dyn FnMut(usize, &[f32]),
    ) {
        assert!(0 < length && length <= self.capacity(), "attention over positions that were never written");
        let kernel = kernel(cpu);
        let padded_length = length.next_multiple_of(PANEL);
        let padded_width = self.width().next_multiple_of(PANEL);
        let Scratch { block: scores, block2: result, .. } = scratch;
        let scores = scratch_of(scores, queries.rows * padded_length);
        kernel.f32(queries, self.keys.panels(0, padded_length / PANEL), scores);
        let scale = 1.0 / (self.width() as f32).sqrt();
        for row in scores.chunks_exact_mut(padded_length) {
            softmax(cpu, &mut row[..length], scale);
        }
        let weights = RowsF32 { data: scores, stride: padded_length, rows: queries.rows, k: length };
        let result = scratch_of(result, queries.rows * padded_width);
        kernel.f32(weights, self.values.panels(0, padded_width / PANEL), result);
        for (row, values) in result.chunks_exact(padded_width).enumerate() {
            store(row, &values[..self.width()]);
        }
    }
}

/// Self-attention of an encoder: every position attends to every other.
///
/// `qkv` is `(n_ctx, 3 * d)`, the queries, keys and values of all heads side by side; `out` is `(n_ctx, d)`. `packed`
/// keeps its memory from one call to the next.
///
/// # Panics
/// If the shapes do not agree.
pub fn self_attention(context: &Context, qkv: RowsF32<'_>, heads: usize, packed: &mut Vec<KeyValues>, out: &mut [f32]) {
    let (n_ctx, d) = (qkv.rows, qkv.k / 3);
    let width = d / heads;
    assert!(width * heads * 3 == qkv.k && out.len() == n_ctx * d, "attention of another shape");
    let kv = RowsF32 { data: &qkv.data[d..], k: 2 * d, ..qkv };
    KeyValues::pack(&context.pool, kv, heads, packed);
    let out = Disjoint::new(out);
    let blocks = n_ctx.div_ceil(BLOCK);
    context.pool.run(heads * blocks, &|task, scratch| {
        let (head, first) = (task / blocks, task % blocks * BLOCK);
        let block = qkv.slice(first, BLOCK.min(n_ctx - first));
        let queries = RowsF32 { data: &block.data[head * width..], k: width, ..block };
        packed[head].attend(context.cpu, queries, n_ctx, scratch, &mut |row, values| {
            // SAFETY: rows of blocks, and columns of heads, do not overlap.
            unsafe { out.slice((first + row) * d + head * width, width) }.copy_from_slice(values);
        });
    });
}

/// What one row of [`attention`] attends to: the heads of a layer, and how many positions count.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a> {
    /// `(heads)`.
    pub heads: &'a [KeyValues],
    /// Positions that this row sees, from the first on.
    pub length: usize,
}

/// Attention of a decoding step: each row has its own keys and values.
///
/// `queries` is `(rows, d)`, `memories` is `(rows)`, `out` is `(rows, d)`.
///
/// # Panics
/// If the shapes do not agree.
pub fn attention(context: &Context, queries: RowsF32<'_>, memories: &[Memory<'_>], out: &mut [f32]) {
    let d = queries.k;
    let heads = memories.first().map_or(1, |memory| memory.heads.len());
    let width = d / heads;
    assert!(memories.len() == queries.rows && out.len() == queries.rows * d, "attention of another shape");
    let out = Disjoint::new(out);
    context.pool.run(queries.rows * heads, &|task, scratch| {
        let (row, head) = (task / heads, task % heads);
        let query = RowsF32::new(&queries.row(row)[head * width..][..width], width);
        let memory = memories[row];
        memory.heads[head].attend(context.cpu, query, memory.length, scratch, &mut |_, values| {
            // SAFETY: rows, and columns of heads, do not overlap.
            unsafe { out.slice(row * d + head * width, width) }.copy_from_slice(values);
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(length: usize, seed: usize) -> Vec<f32> {
        (0..length).map(|i| (((i + seed) * 7919) % 1009) as f32 * 0.004 - 2.0).collect()
    }

    fn head_rows(all: &[f32], stride: usize, first: usize, width: usize) -> impl Iterator<Item = &[f32]> {
        all.chunks_exact(stride).map(move |row| &row[first..first + width])
    }

    /// The definition, in f64: one query over `length` rows of keys and values.
    fn attend_exactly(query: &[f32], keys: &[&[f32]], values: &[&[f32]]) -> Vec<f64> {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let weights: Vec<f64> = keys.iter().map(|key| (dot(query, key) / (query.len() as f64).sqrt()).exp()).collect();
        let total: f64 = weights.iter().sum();
        let column = |i: usize| values.iter().zip(&weights).map(|(v, w)| f64::from(v[i]) * w).sum::<f64>() / total;
        (0..query.len()).map(column).collect()
    }

    fn contexts() -> impl Iterator<Item = Context> {
        Cpu::all().flat_map(|cpu| [1, 3].map(|threads| Context { cpu, pool: Pool::new(threads) }))
    }

    #[test]
    fn self_attention_follows_the_definition() {
        let (n_ctx, heads, width) = (71, 3, 20);
        let d = heads * width;
        let qkv = wave(n_ctx * 3 * d, 0);
        for context in contexts() {
            let mut out = vec![0.0; n_ctx * d];
            self_attention(&context, RowsF32::new(&qkv, 3 * d), heads, &mut Vec::new(), &mut out);
            for head in 0..heads {
                let part =
                    |kind: usize| -> Vec<&[f32]> { head_rows(&qkv, 3 * d, kind * d + head * width, width).collect() };
                let (queries, keys, values) = (part(0), part(1), part(2));
                for (position, query) in queries.into_iter().enumerate() {
                    let expected = attend_exactly(query, &keys, &values);
                    for (got, expected) in out[position * d + head * width..].iter().zip(expected) {
                        assert!((f64::from(*got) - expected).abs() < 1e-5);
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_sees_only_its_own_length_and_is_the_same_alone() {
        let (heads, width, capacity) = (2, 16, 40);
        let d = heads * width;
        let mut memory = vec![KeyValues::new(capacity, width); heads];
        let (keys, values) = (wave(capacity * d, 1), wave(capacity * d, 2));
        for position in 0..capacity {
            for (head, memory) in memory.iter_mut().enumerate() {
                let at = position * d + head * width;
                memory.set(position, &keys[at..at + width], &values[at..at + width]);
            }
        }
        let queries = wave(3 * d, 3);
        let lengths = [1, 17, 40];
        for context in contexts() {
            let memories = lengths.map(|length| Memory { heads: &memory, length });
            let mut out = vec![0.0; 3 * d];
            attention(&context, RowsF32::new(&queries, d), &memories, &mut out);
            for (row, length) in lengths.into_iter().enumerate() {
                let mut alone = vec![0.0; d];
                let query = &queries[row * d..][..d];
                attention(&context, RowsF32::new(query, d), &memories[row..=row], &mut alone);
                assert_eq!(alone, out[row * d..][..d]);
                for head in 0..heads {
                    let part = |all| -> Vec<&[f32]> { head_rows(all, d, head * width, width).take(length).collect() };
                    let (keys, values) = (part(&keys), part(&values));
                    let expected = attend_exactly(&query[head * width..][..width], &keys, &values);
                    for (got, expected) in alone[head * width..].iter().zip(expected) {
                        assert!((f64::from(*got) - expected).abs() < 1e-5);
                    }
                }
            }
        }
    }
}
