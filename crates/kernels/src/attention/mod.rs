//! Scaled dot-product attention (Vaswani et al., arXiv 1706.03762) in blocks: scores of a few queries at a time live in
//! scratch, the full matrix of scores never exists.
//!
//! Keys and values are kept packed ([`KeyValues`]) as the right-hand sides of the two products, `q k^T` and
//! `weights v`, in f32 or in int8: then they are the kernels of [`crate::gemm`], streaming panels in order.

mod float;
mod int8;

use self::float::HeadF32;
use self::int8::HeadI8;
use crate::gemm::RowsF32;
use crate::pool::Disjoint;
use crate::{Context, Cpu, Scratch};

/// Queries of a block: their 1,500 scores take 192 KiB.
const BLOCK: usize = 32;

/// The keys and values of one layer, all heads, packed.
#[derive(Clone, Debug)]
pub enum KeyValues {
    /// Written a position at a time, or all at once.
    F32(Vec<HeadF32>),
    /// All positions at once: keys have a scale a position, values a scale a channel.
    Int8(Vec<HeadI8>),
}

impl KeyValues {
    /// In f32, yet without a position, of `heads` heads of width `width`: for [`Self::set`].
    pub fn growing(heads: usize, width: usize) -> Self {
        Self::F32(vec![HeadF32::new(0, width); heads])
    }

    /// Writes key and value, each `(heads * width)`, of one position. Room is made for it where there is none.
    ///
    /// # Panics
    /// If the width differs, or these are int8.
    pub fn set(&mut self, position: usize, key: &[f32], value: &[f32]) {
        let Self::F32(heads) = self else { panic!("keys and values in int8 are packed all at once") };
        let width = key.len() / heads.len();
        for ((head, key), value) in heads.iter_mut().zip(key.chunks(width)).zip(value.chunks(width)) {
            head.set(position, key, value);
        }
    }

    /// Packs the keys and values of all heads: `kv` is `(n_ctx, 2 * d)`, keys of all heads, then values. Memory is kept
    /// where the shape is the same as before.
    ///
    /// # Panics
    /// If `heads` does not divide the width.
    pub fn pack(&mut self, context: &Context, kv: RowsF32<'_>, heads: usize) {
        let (n_ctx, width) = (kv.rows, kv.k / 2 / heads);
        assert_eq!(width * heads * 2, kv.k, "keys and values of another shape");
        match self {
            Self::F32(packed) => {
                if packed.len() != heads || packed.iter().any(|head| head.shape() != (n_ctx, width)) {
                    *packed = vec![HeadF32::new(n_ctx, width); heads];
                }
                context.pool.chunks_mut(packed, 1, &|head, packed, _| packed[0].pack(kv, head * width));
            }
            Self::Int8(packed) => {
                if packed.len() != heads || packed.iter().any(|head| head.shape() != (n_ctx, width)) {
                    *packed = vec![HeadI8::new(n_ctx, width); heads];
                }
                context.pool.chunks_mut(packed, 1, &|head, packed, scratch| {
                    packed[0].pack(context.cpu, kv, head * width, scratch);
                });
            }
        }
    }

    /// Positions there is room for.
    pub fn capacity(&self) -> usize {
        match self {
            Self::F32(heads) => heads.first().map_or(0, |head| head.shape().0),
            Self::Int8(heads) => heads.first().map_or(0, |head| head.shape().0),
        }
    }

    fn heads(&self) -> usize {
        match self {
            Self::F32(heads) => heads.len(),
            Self::Int8(heads) => heads.len(),
        }
    }

    /// `softmax(queries k^T / sqrt(width)) v` of one head over the first `length` positions; `queries` is
    /// `(rows, width)`, and `store(row, values)` takes each row of the result.
    fn attend(
        &self,
        head: usize,
        cpu: Cpu,
        queries: RowsF32<'_>,
        length: usize,
        scratch: &mut Scratch,
        store: &mut dyn FnMut(usize, &[f32]),
    ) {
        assert!(0 < length && length <= self.capacity(), "attention over positions that were never written");
        match self {
            Self::F32(heads) => heads[head].attend(cpu, queries, length, scratch, store),
            Self::Int8(heads) => heads[head].attend(cpu, queries, length, scratch, store),
        }
    }
}

/// Self-attention of an encoder: every position attends to every other.
///
/// `qkv` is `(n_ctx, 3 * d)`, the queries, keys and values of all heads side by side; `out` is `(n_ctx, d)`. `packed`
/// says in which numbers to compute, and keeps its memory from one call to the next.
///
/// # Panics
/// If the shapes do not agree.
pub fn self_attention(context: &Context, qkv: RowsF32<'_>, heads: usize, packed: &mut KeyValues, out: &mut [f32]) {
    let (n_ctx, d) = (qkv.rows, qkv.k / 3);
    let width = d / heads;
    assert!(width * heads * 3 == qkv.k && out.len() == n_ctx * d, "attention of another shape");
    packed.pack(context, RowsF32 { data: &qkv.data[d..], k: 2 * d, ..qkv }, heads);
    let out = Disjoint::new(out);
    let blocks = n_ctx.div_ceil(BLOCK);
    context.pool.run(heads * blocks, &|task, scratch| {
        let (head, first) = (task / blocks, task % blocks * BLOCK);
        let block = qkv.slice(first, BLOCK.min(n_ctx - first));
        let queries = RowsF32 { data: &block.data[head * width..], k: width, ..block };
        packed.attend(head, context.cpu, queries, n_ctx, scratch, &mut |row, values| {
            // SAFETY: rows of blocks, and columns of heads, do not overlap.
            unsafe { out.slice((first + row) * d + head * width, width) }.copy_from_slice(values);
        });
    });
}

/// What one row of [`attention`] attends to: the keys and values of a layer, and how many positions count.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a> {
    /// Of all heads.
    pub key_values: &'a KeyValues,
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
    let heads = memories.first().map_or(1, |memory| memory.key_values.heads());
    let width = d / heads;
    assert!(memories.len() == queries.rows && out.len() == queries.rows * d, "attention of another shape");
    let out = Disjoint::new(out);
    context.pool.run(queries.rows * heads, &|task, scratch| {
        let (row, head) = (task / heads, task % heads);
        let query = RowsF32::new(&queries.row(row)[head * width..][..width], width);
        let Memory { key_values, length } = memories[row];
        key_values.attend(head, context.cpu, query, length, scratch, &mut |_, values| {
            // SAFETY: rows, and columns of heads, do not overlap.
            unsafe { out.slice(row * d + head * width, width) }.copy_from_slice(values);
        });
    });
}

#[cfg(test)]
mod tests;
