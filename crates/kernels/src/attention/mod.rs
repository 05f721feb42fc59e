//! Scaled dot-product attention (Vaswani et al., arXiv 1706.03762) in blocks: scores of a few queries at a time live in
//! scratch, the full matrix of scores never exists.
//!
//! Keys and values are kept packed as the right-hand sides of the two products, `q k^T` and `weights v`, in f32, bf16 or
//! int8: then they are the kernels of [`crate::gemm`], streaming panels in order. [`SelfAttention`] is the encoder's, of
//! all positions to all others at once; [`KeyValues`] are what the decoder looks up of a window, token by token. What it
//! looks up of its own text, [`Cache`], is not packed.

mod bf16;
mod cache;
mod float;
mod int8;

use self::bf16::HeadBf16;
pub use self::cache::Cache;
use self::float::HeadF32;
use self::int8::HeadI8;
use crate::gemm::{Blocks, Output, RowsF32};
use crate::pool::{Disjoint, scratch_of};
use crate::vector::softmax;
use crate::{Context, Cpu, Number, Scratch};

/// Queries of a block: their 1,500 scores take 192 KiB.
const BLOCK: usize = 32;

/// The keys and values of one layer, all heads, packed all at once.
#[derive(Debug)]
pub enum KeyValues {
    /// In f32.
    F32(Vec<HeadF32>),
    /// In int8: keys have a scale a position, values a scale a channel.
    Int8(Vec<HeadI8>),
}

impl KeyValues {
    /// Packs the keys and values of all heads: `kv` is `(n_ctx, 2 * d)` in blocks of a head each, the keys before the
    /// values. Memory is kept, and made for `room` positions at once: it grows where there are more.
    pub fn pack(&mut self, context: &Context, kv: &Blocks<f32>, room: usize) {
        let heads = kv.n() / kv.width() / 2;
        match self {
            Self::F32(packed) => pack_f32(context, kv, heads, 0, packed),
            Self::Int8(packed) => pack_int8(context, kv, heads, 0, room, packed),
        }
    }

    /// `[heads, n_ctx, width]`, of the keys and of the values alike.
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

    /// Where one head looks: `softmax(queries k^T / sqrt(width))` over the first positions of the window only, as if the
    /// others were not there. `queries` is `(rows, d)`, all heads; `out` is `(rows, positions)`.
    ///
    /// # Panics
    /// If there are more positions than the window has, or no rows or no positions.
    pub fn weights(&self, context: &Context, head: usize, queries: RowsF32<'_>, out: &mut [f32]) {
        let width = queries.k / self.heads();
        let positions = out.len() / queries.rows;
        let [_, n_ctx, _] = self.shape();
        assert!((1..=n_ctx).contains(&positions) && out.len() == queries.rows * positions, "weights of another shape");
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

    /// `softmax(queries k^T / sqrt(width)) v` of one head; `queries` is `(rows, width)`, and `store(row, values)` takes each
    /// row of the result.
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

/// The keys of a head are the block `first + head`, its values are `heads` blocks behind.
fn pack_f32(context: &Context, blocks: &Blocks<f32>, heads: usize, first: usize, packed: &mut Vec<HeadF32>) {
    let (n_ctx, width) = (blocks.rows(), blocks.width());
    packed.resize_with(heads, || HeadF32::new(n_ctx, width));
    packed.iter_mut().filter(|head| head.shape() != (n_ctx, width)).for_each(|head| head.reset(n_ctx, width));
    context.pool.chunks_mut(packed, 1, &|head, packed, _| {
        packed[0].pack(blocks.block(first + head), blocks.block(first + heads + head));
    });
}

/// As [`pack_f32`].
fn pack_int8(
    context: &Context,
    blocks: &Blocks<f32>,
    heads: usize,
    first: usize,
    room: usize,
    packed: &mut Vec<HeadI8>,
) {
    let (n_ctx, width, arena) = (blocks.rows(), blocks.width(), &context.arena);
    packed.resize_with(heads, || HeadI8::new(arena, room.max(n_ctx), width));
    packed.iter_mut().filter(|head| head.shape() != (n_ctx, width)).for_each(|head| head.reset(arena, n_ctx, width));
    context.pool.chunks_mut(packed, 1, &|head, packed, scratch| {
        packed[0].pack(context.cpu, blocks.block(first + head), blocks.block(first + heads + head), scratch);
    });
}

/// Self-attention of an encoder: every position attends to every other. Holds the queries, keys and values, and keeps its
/// memory from one use to the next.
#[derive(Debug)]
pub struct SelfAttention(Numbers);

/// Queries, keys and values `(n_ctx, 3 * d)` in blocks of a head each, and the keys and values packed.
#[derive(Debug)]
enum Numbers {
    F32(Blocks<f32>, Vec<HeadF32>),
    Int8(Blocks<f32>, Vec<HeadI8>),
    Bf16(Blocks<u16>, Vec<HeadBf16>),
}

impl SelfAttention {
    /// In f32.
    pub fn f32() -> Self {
        Self(Numbers::F32(Blocks::default(), Vec::new()))
    }

    /// In int8.
    pub fn int8() -> Self {
        Self(Numbers::Int8(Blocks::default(), Vec::new()))
    }

    /// In bf16.
    pub fn bf16() -> Self {
        Self(Numbers::Bf16(Blocks::default(), Vec::new()))
    }

    /// Where the layer before writes queries, keys and values: `(n_ctx, 3 * d)`, all heads of one after all of the other,
    /// each head `width` wide.
    ///
    /// # Panics
    /// If `width` does not divide `d`.
    pub fn input(&mut self, n_ctx: usize, d: usize, width: usize) -> Output<'_> {
        match &mut self.0 {
            Numbers::F32(qkv, _) | Numbers::Int8(qkv, _) => {
                qkv.reset(n_ctx, 3 * d, width);
                Output::Blocks(qkv)
            }
            Numbers::Bf16(qkv, _) => {
                qkv.reset(n_ctx, 3 * d, width);
                Output::BlocksBf16(qkv)
            }
        }
    }

    /// `softmax(q k^T / sqrt(width)) v` of all heads, `(n_ctx, d)`. Memory is made for `room` positions at once.
    ///
    /// # Panics
    /// If `out` has another shape.
    pub fn run(&mut self, context: &Context, room: usize, out: &mut [f32]) {
        match &mut self.0 {
            Numbers::F32(qkv, packed) => {
                let heads = qkv.n() / qkv.width() / 3;
                pack_f32(context, qkv, heads, heads, packed);
                each_block(context, qkv, out, &|head, queries, scratch, store| {
                    packed[head].attend(context.cpu, RowsF32::new(queries, qkv.width()), scratch, store);
                });
            }
            Numbers::Int8(qkv, packed) => {
                let heads = qkv.n() / qkv.width() / 3;
                pack_int8(context, qkv, heads, heads, room, packed);
                each_block(context, qkv, out, &|head, queries, scratch, store| {
                    packed[head].attend(context.cpu, RowsF32::new(queries, qkv.width()), scratch, store);
                });
            }
            Numbers::Bf16(qkv, packed) => {
                let heads = qkv.n() / qkv.width() / 3;
                let (n_ctx, width, arena) = (qkv.rows(), qkv.width(), &context.arena);
                packed.resize_with(heads, || HeadBf16::new(arena, room.max(n_ctx), width));
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

/// Takes a row of a result, and which it is.
type Store<'a> = dyn FnMut(usize, &[f32]) + 'a;

/// `attend(head, queries, scratch, store)`.
type Attend<'a, T> = dyn Fn(usize, &[T], &mut Scratch, &mut Store<'_>) + Sync + 'a;

/// Runs `attend(head, queries, scratch, store)` on blocks of queries of every head.
fn each_block<T: Number + Sync>(context: &Context, qkv: &Blocks<T>, out: &mut [f32], attend: &Attend<'_, T>) {
    let (n_ctx, width, d) = (qkv.rows(), qkv.width(), qkv.n() / 3);
    assert_eq!(out.len(), n_ctx * d, "output of another shape");
    let out = Disjoint::new(out);
    let blocks = n_ctx.div_ceil(BLOCK);
    context.pool.run(d / width * blocks, &|task, scratch| {
        let (head, first) = (task / blocks, task % blocks * BLOCK);
        let queries = &qkv.block(head)[first * width..][..BLOCK.min(n_ctx - first) * width];
        attend(head, queries, scratch, &mut |row, values| {
            // SAFETY: rows, and columns of heads, do not overlap.
            unsafe { out.slice((first + row) * d + head * width, width) }.copy_from_slice(values);
        });
    });
}

/// Attention of a decoding step to windows: `windows[i].1` rows of `queries`, one after the other, look up
/// `windows[i].0`.
///
/// `queries` and `out` are `(rows, d)`.
///
/// # Panics
/// If the shapes do not agree.
pub fn cross_attention(context: &Context, queries: RowsF32<'_>, windows: &[(&KeyValues, usize)], out: &mut [f32]) {
    let d = queries.k;
    let heads = windows.first().map_or(1, |(window, _)| window.heads());
    let width = d / heads;
    let rows = windows.iter().map(|(_, rows)| rows).sum::<usize>();
    assert!(rows == queries.rows && out.len() == rows * d, "attention of another shape");
    let out = Disjoint::new(out);
    context.pool.run(windows.len() * heads, &|task, scratch| {
        let (window, head) = (task / heads, task % heads);
        let first: usize = windows[..window].iter().map(|(_, rows)| rows).sum();
        let (key_values, rows) = windows[window];
        let queries = &queries.data[first * queries.stride + head * width..];
        let queries = RowsF32 { data: queries, stride: d, rows, k: width };
        key_values.attend(head, context.cpu, queries, scratch, &mut |row, values| {
            // SAFETY: rows, and columns of heads, do not overlap.
            unsafe { out.slice((first + row) * d + head * width, width) }.copy_from_slice(values);
        });
    });
}

/// What a row of a text attends to: the text so far, and how many positions of it count.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// Of one layer.
    pub cache: &'a Cache,
    /// Positions that the row sees, from the first on.
    pub length: usize,
}

/// Attention of a decoding step to the texts so far: each row to its own.
///
/// `queries` is `(rows, d)`, `pasts` is `(rows)`, `out` is `(rows, d)`.
///
/// # Panics
/// If the shapes do not agree.
pub fn causal_attention(context: &Context, queries: RowsF32<'_>, heads: usize, pasts: &[Past<'_>], out: &mut [f32]) {
    let d = queries.k;
    let width = d / heads;
    assert!(pasts.len() == queries.rows && out.len() == queries.rows * d, "attention of another shape");
    let out = Disjoint::new(out);
    // All heads of a row in one go, unless there are too few rows for all threads.
    let groups = context.pool.threads().div_ceil(queries.rows).min(heads);
    let together = heads.div_ceil(groups);
    context.pool.run(queries.rows * groups, &|task, scratch| {
        let (row, head) = (task / groups, task % groups * together);
        let (column, columns) = (head * width, together.min(heads.saturating_sub(head)) * width);
        let Past { cache, length } = pasts[row];
        let scores = scratch_of(&mut scratch.block, columns / width * length);
        // SAFETY: rows, and columns of heads, do not overlap.
        let out = unsafe { out.slice(row * d + column.min(d), columns) };
        let queries = &queries.row(row)[column.min(d)..][..columns];
        cache.attend(context.cpu, (queries, width), column, length, scores, out);
    });
}

#[cfg(test)]
mod tests;
