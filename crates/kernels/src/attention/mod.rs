//! Scaled dot-product attention (Vaswani et al., arXiv 1706.03762), computed in blocks of queries. Only the scores of
//! one block are held, in scratch memory; the full matrix of scores is never stored.
//!
//! Attention consists of two products, `q k^T` and `weights v`. Keys and values are packed as the right-hand sides of
//! these products, in f32, bf16 or int8, so that the kernels of [`crate::gemm`] compute both and stream the panels in
//! order.
//!
//! - [`SelfAttention`] is the self-attention of the encoder.
//! - [`KeyValues`] holds the keys and values of a window for the cross-attention of the decoder.
//! - [`Cache`] is the KV cache for the causal self-attention of the decoder. It is not packed.

mod bf16;
mod cache;
mod float;
mod int8;

use self::bf16::HeadBf16;
pub use self::cache::Cache;
use self::float::HeadF32;
use self::int8::HeadI8;
use crate::disjoint::Disjoint;
use crate::gemm::{Blocks, Output, RowsF32};
use crate::scratch::scratch_of;
use crate::vector::softmax;
use crate::{Context, Cpu, Number, Scratch};

/// Maximum number of queries in a block. Their f32 scores for 1500 positions take 192 KiB.
const BLOCK: usize = 32;

/// The packed keys and values of one layer, all heads, for cross-attention.
#[derive(Debug)]
pub enum KeyValues {
    /// Packed in f32.
    F32(Vec<HeadF32>),
    /// Packed in int8. Keys have one scale for each position, values one scale for each channel.
    Int8(Vec<HeadI8>),
}

impl KeyValues {
    /// Packs the keys and values of all heads. `kv` is `(n_ctx, 2 * d)`, stored as one block of columns per head:
    /// first the keys of all heads, then the values.
    ///
    /// In int8, memory is allocated for at least `min_capacity` positions. Later calls reuse the memory if it is
    /// large enough.
    pub fn pack(&mut self, context: &Context, kv: &Blocks<f32>, min_capacity: usize) {
        let heads = kv.n() / kv.width() / 2;
        match self {
            Self::F32(packed) => pack_f32(context, kv, heads, 0, packed),
            Self::Int8(packed) => pack_int8(context, kv, heads, 0, min_capacity, packed),
        }
    }

    /// The shape `[heads, n_ctx, width]` of the keys, which is also that of the values.
    pub fn shape(&self) -> [usize; 3] {
        let (n_ctx, width) = match self {
            Self::F32(heads) => heads.first().map_or((0, 0), HeadF32::shape),
            Self::Int8(heads) => heads.first().map_or((0, 0), HeadI8::shape),
        };
        [self.heads(), n_ctx, width]
    }

    fn heads(&self) -> usize {
        match self {
            Self::F32(heads) => heads.len(),
            Self::Int8(heads) => heads.len(),
        }
    }

    /// Computes the attention weights of one head, `softmax(queries k^T / sqrt(width))`, over the first `positions`
    /// positions. Later positions are ignored, as if they were masked.
    ///
    /// `queries` is `(rows, d)`, with the columns of all heads; `out` is `(rows, positions)`.
    ///
    /// # Panics
    ///
    /// If the length of `out` is not a multiple of `rows`, or `positions` is 0 or greater than `n_ctx`, or `rows` is
    /// 0.
    pub fn weights(&self, context: &Context, head: usize, queries: RowsF32<'_>, out: &mut [f32]) {
        let width = queries.k / self.heads();
        let positions = out.len() / queries.rows;
        let [_, n_ctx, _] = self.shape();
        assert!(
            (1..=n_ctx).contains(&positions) && out.len() == queries.rows * positions,
            "attention weights do not have the shape (rows, positions)"
        );
        context.pool.chunks_mut(out, BLOCK * positions, &|block, out, scratch| {
            let data = &queries.data[block * BLOCK * queries.stride + head * width..];
            let queries = RowsF32 { data, stride: queries.stride, rows: out.len() / positions, k: width };
            let mut store = |row: usize, scores: &mut [f32]| {
                let scores = &mut scores[..positions];
                softmax(context.cpu, scores, 1.0);
                out[row * positions..][..positions].copy_from_slice(scores);
            };
            match self {
                Self::F32(heads) => heads[head].scores(context.cpu, queries, scratch, &mut store),
                Self::Int8(heads) => heads[head].scores(context.cpu, queries, scratch, &mut store),
            }
        });
    }

    /// Computes `softmax(queries k^T / sqrt(width)) v` of one head. `queries` is `(rows, width)`. `store(row,
    /// values)` is called for each row of the result; `values` is `(width)`.
    fn attend(
        &self,
        head: usize,
        cpu: Cpu,
        queries: RowsF32<'_>,
        scratch: &mut Scratch,
        store: &mut dyn FnMut(usize, &[f32]),
    ) {
        match self {
            Self::F32(heads) => heads[head].attend(cpu, queries, scratch, store),
            Self::Int8(heads) => heads[head].attend(cpu, queries, scratch, store),
        }
    }
}

/// Packs the keys and values of all heads in f32. Block `first + head` holds the keys of a head, and block `first +
/// heads + head` holds the values of that head.
fn pack_f32(context: &Context, blocks: &Blocks<f32>, heads: usize, first: usize, packed: &mut Vec<HeadF32>) {
    let (n_ctx, width) = (blocks.rows(), blocks.width());
    packed.resize_with(heads, || HeadF32::new(n_ctx, width));
    packed.iter_mut().filter(|head| head.shape() != (n_ctx, width)).for_each(|head| head.reset(n_ctx, width));
    context.pool.chunks_mut(packed, 1, &|head, packed, _| {
        packed[0].pack(blocks.block(first + head), blocks.block(first + heads + head));
    });
}

/// As [`pack_f32`], in int8. Memory is allocated for at least `min_capacity` positions.
fn pack_int8(
    context: &Context,
    blocks: &Blocks<f32>,
    heads: usize,
    first: usize,
    min_capacity: usize,
    packed: &mut Vec<HeadI8>,
) {
    let (n_ctx, width, arena) = (blocks.rows(), blocks.width(), &context.arena);
    packed.resize_with(heads, || HeadI8::new(arena, min_capacity.max(n_ctx), width));
    packed.iter_mut().filter(|head| head.shape() != (n_ctx, width)).for_each(|head| head.reset(arena, n_ctx, width));
    context.pool.chunks_mut(packed, 1, &|head, packed, scratch| {
        packed[0].pack(context.cpu, blocks.block(first + head), blocks.block(first + heads + head), scratch);
    });
}

/// Self-attention of the encoder: every position attends to all positions. A `SelfAttention` holds the queries, keys
/// and values, and reuses their memory from one call to the next.
#[derive(Debug)]
pub struct SelfAttention(Operands);

/// Queries, keys and values, `(n_ctx, 3 * d)`, stored as one block of columns per head, and the packed keys and
/// values of each head.
#[derive(Debug)]
enum Operands {
    F32(Blocks<f32>, Vec<HeadF32>),
    Int8(Blocks<f32>, Vec<HeadI8>),
    Bf16(Blocks<u16>, Vec<HeadBf16>),
}

impl SelfAttention {
    /// Creates a self-attention that computes in f32.
    pub fn f32() -> Self {
        Self(Operands::F32(Blocks::default(), Vec::new()))
    }

    /// Creates a self-attention that computes in int8.
    pub fn int8() -> Self {
        Self(Operands::Int8(Blocks::default(), Vec::new()))
    }

    /// Creates a self-attention that computes in bf16.
    pub fn bf16() -> Self {
        Self(Operands::Bf16(Blocks::default(), Vec::new()))
    }

    /// The matrix that the preceding linear layer must write its result to: `(n_ctx, 3 * d)`, the queries of all
    /// heads, then the keys of all heads, then the values. Each head has `width` columns.
    ///
    /// # Panics
    ///
    /// If `width` does not divide `d`.
    pub fn input(&mut self, n_ctx: usize, d: usize, width: usize) -> Output<'_> {
        match &mut self.0 {
            Operands::F32(qkv, _) | Operands::Int8(qkv, _) => {
                qkv.reset(n_ctx, 3 * d, width);
                Output::Blocks(qkv)
            }
            Operands::Bf16(qkv, _) => {
                qkv.reset(n_ctx, 3 * d, width);
                Output::BlocksBf16(qkv)
            }
        }
    }

    /// Computes `softmax(q k^T / sqrt(width)) v` of all heads from the values written to [`Self::input`]. `out` is
    /// `(n_ctx, d)`.
    ///
    /// Memory for the packed keys and values is allocated for at least `min_capacity` positions.
    ///
    /// # Panics
    ///
    /// If `out` does not have the shape `(n_ctx, d)`.
    pub fn run(&mut self, context: &Context, min_capacity: usize, out: &mut [f32]) {
        match &mut self.0 {
            Operands::F32(qkv, packed) => {
                let heads = qkv.n() / qkv.width() / 3;
                pack_f32(context, qkv, heads, heads, packed);
                each_block(context, qkv, out, &|head, queries, scratch, store| {
                    packed[head].attend(context.cpu, RowsF32::new(queries, qkv.width()), scratch, store);
                });
            }
            Operands::Int8(qkv, packed) => {
                let heads = qkv.n() / qkv.width() / 3;
                pack_int8(context, qkv, heads, heads, min_capacity, packed);
                each_block(context, qkv, out, &|head, queries, scratch, store| {
                    packed[head].attend(context.cpu, RowsF32::new(queries, qkv.width()), scratch, store);
                });
            }
            Operands::Bf16(qkv, packed) => {
                let heads = qkv.n() / qkv.width() / 3;
                let (n_ctx, width, arena) = (qkv.rows(), qkv.width(), &context.arena);
                packed.resize_with(heads, || HeadBf16::new(arena, min_capacity.max(n_ctx), width));
                let others = packed.iter_mut().filter(|head| head.shape() != (n_ctx, width));
                others.for_each(|head| head.reset(arena, n_ctx, width));
                context.pool.chunks_mut(packed, 1, &|head, packed, _| {
                    packed[0].pack(qkv.block(heads + head), qkv.block(2 * heads + head));
                });
                each_block(context, qkv, out, &|head, queries, scratch, store| {
                    packed[head].attend(context.cpu, queries, scratch, store);
                });
            }
        }
    }
}

/// A callback `store(row, values)` that receives one row of a result.
type Store<'a> = dyn FnMut(usize, &[f32]) + 'a;

/// A function `attend(head, queries, scratch, store)` that computes the attention of one head for a block of queries.
type Attend<'a, T> = dyn Fn(usize, &[T], &mut Scratch, &mut Store<'_>) + Sync + 'a;

/// Calls `attend` for every head and every block of queries, and writes the results to `out`, `(n_ctx, d)`.
fn each_block<T: Number + Sync>(context: &Context, qkv: &Blocks<T>, out: &mut [f32], attend: &Attend<'_, T>) {
    let (n_ctx, width, d) = (qkv.rows(), qkv.width(), qkv.n() / 3);
    assert_eq!(out.len(), n_ctx * d, "output does not have the shape (n_ctx, d)");
    let out = Disjoint::new(out);
    let blocks = n_ctx.div_ceil(BLOCK);
    context.pool.run(d / width * blocks, &|task, scratch| {
        let (head, first) = (task / blocks, task % blocks * BLOCK);
        let queries = &qkv.block(head)[first * width..][..BLOCK.min(n_ctx - first) * width];
        attend(head, queries, scratch, &mut |row, values| {
            // SAFETY: each task writes its own rows of its own head, and `store` receives each row once. So no two
            // slices overlap.
            unsafe { out.slice((first + row) * d + head * width, width) }.copy_from_slice(values);
        });
    });
}

/// Cross-attention of a decoding step. `windows` lists one pair `(key_values, rows)` per audio window: the next
/// `rows` rows of `queries` attend to these keys and values.
///
/// `queries` and `out` are `(rows, d)`, where `rows` is the sum over all windows.
///
/// # Panics
///
/// If the shapes do not agree.
pub fn cross_attention(context: &Context, queries: RowsF32<'_>, windows: &[(&KeyValues, usize)], out: &mut [f32]) {
    let d = queries.k;
    let heads = windows.first().map_or(1, |(window, _)| window.heads());
    let width = d / heads;
    let rows = windows.iter().map(|(_, rows)| rows).sum::<usize>();
    assert!(rows == queries.rows && out.len() == rows * d, "the shapes of queries, output and windows do not agree");
    let out = Disjoint::new(out);
    context.pool.run(windows.len() * heads, &|task, scratch| {
        let (window, head) = (task / heads, task % heads);
        let first: usize = windows[..window].iter().map(|(_, rows)| rows).sum();
        let (key_values, rows) = windows[window];
        let queries = &queries.data[first * queries.stride + head * width..];
        let queries = RowsF32 { data: queries, stride: d, rows, k: width };
        key_values.attend(head, context.cpu, queries, scratch, &mut |row, values| {
            // SAFETY: each task writes its own rows of its own head, and `store` receives each row once. So no two
            // slices overlap.
            unsafe { out.slice((first + row) * d + head * width, width) }.copy_from_slice(values);
        });
    });
}

/// The positions that one row of a decoding step attends to: the first positions in the KV cache of the row's
/// hypothesis.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// The KV cache of one decoder layer and one hypothesis.
    pub cache: &'a Cache,
    /// Number of positions that the row attends to, starting at the first.
    pub length: usize,
}

/// Causal self-attention of a decoding step: row `i` of `queries` attends to `pasts[i]`.
///
/// `queries` is `(rows, d)`, `pasts` is `(rows)`, `out` is `(rows, d)`.
///
/// # Panics
/// If the shapes do not agree.
pub fn causal_attention(context: &Context, queries: RowsF32<'_>, heads: usize, pasts: &[Past<'_>], out: &mut [f32]) {
    let d = queries.k;
    let width = d / heads;
    assert!(
        pasts.len() == queries.rows && out.len() == queries.rows * d,
        "the shapes of queries, output and caches do not agree"
    );
    let out = Disjoint::new(out);
    // A task computes all heads of a row if there are at least as many rows as threads. Otherwise several tasks share
    // the heads of a row.
    let groups = context.pool.threads().div_ceil(queries.rows).min(heads);
    let heads_per_task = heads.div_ceil(groups);
    context.pool.run(queries.rows * groups, &|task, scratch| {
        let (row, head) = (task / groups, task % groups * heads_per_task);
        let (column, columns) = (head * width, heads_per_task.min(heads.saturating_sub(head)) * width);
        let Past { cache, length } = pasts[row];
        let scores = scratch_of(&mut scratch.block, columns / width * length);
        // SAFETY: each task writes its own heads of its own row, so no two slices overlap.
        let out = unsafe { out.slice(row * d + column.min(d), columns) };
        let queries = &queries.row(row)[column.min(d)..][..columns];
        cache.attend(context.cpu, (queries, width), column, length, scores, out);
    });
}

#[cfg(test)]
mod tests;
