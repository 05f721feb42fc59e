//! Attention in f32.

use crate::gemm::{PANEL, PackedF32, RowsF32, kernel};
use crate::scratch::scratch_of;
use crate::vector::softmax;
use crate::{Cpu, Scratch};

/// The packed keys and values of one attention head, in f32.
#[derive(Clone, Debug)]
pub struct HeadF32 {
    /// The keys `(n_ctx, width)`. Each position is an output channel of the product `q k^T`.
    keys: PackedF32,
    /// The values `(width, n_ctx)`. Each position is one `k` (summation index) of the product `weights v`.
    values: PackedF32,
}

impl HeadF32 {
    pub(super) fn new(n_ctx: usize, width: usize) -> Self {
        Self { keys: PackedF32::zeros(n_ctx, width), values: PackedF32::zeros(width, n_ctx) }
    }

    /// Sets the shape to `(n_ctx, width)` and all keys and values to zero.
    pub(super) fn reset(&mut self, n_ctx: usize, width: usize) {
        self.keys.reset(n_ctx, width);
        self.values.reset(width, n_ctx);
    }

    /// The shape `(n_ctx, width)` of the keys and of the values.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.keys.n(), self.keys.k())
    }

    /// Packs the keys and the values of all positions, each matrix `(n_ctx, width)`.
    pub(super) fn pack(&mut self, keys: &[f32], values: &[f32]) {
        let width = self.keys.k();
        for (position, (key, value)) in keys.chunks_exact(width).zip(values.chunks_exact(width)).enumerate() {
            self.keys.set_channel(position, key);
            self.values.set_element(position, value);
        }
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
        let (length, width) = self.shape();
        let padded_length = length.next_multiple_of(PANEL);
        let scores = scratch_of(&mut scratch.block, queries.rows * padded_length);
        kernel(cpu).f32(queries, self.keys.panels(0, padded_length / PANEL), scores);
        let scale = 1.0 / (width as f32).sqrt();
        for (row, scores) in scores.chunks_exact_mut(padded_length).enumerate() {
            let scores = &mut scores[..length];
            for score in &mut *scores {
                *score *= scale;
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
        let kernel = kernel(cpu);
        let (length, width) = self.shape();
        let padded_length = length.next_multiple_of(PANEL);
        let padded_width = width.next_multiple_of(PANEL);
        let Scratch { block: scores, block2: result, .. } = scratch;
        let scores = scratch_of(scores, queries.rows * padded_length);
        kernel.f32(queries, self.keys.panels(0, padded_length / PANEL), scores);
        let scale = 1.0 / (width as f32).sqrt();
        for row in scores.chunks_exact_mut(padded_length) {
            softmax(cpu, &mut row[..length], scale);
        }
        let weights = RowsF32 { data: scores, stride: padded_length, rows: queries.rows, k: length };
        let result = scratch_of(result, queries.rows * padded_width);
        kernel.f32(weights, self.values.panels(0, padded_width / PANEL), result);
        for (row, values) in result.chunks_exact(padded_width).enumerate() {
            store(row, &values[..width]);
        }
    }
}
