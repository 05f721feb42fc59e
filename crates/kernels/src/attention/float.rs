//! Attention in f32.

use crate::gemm::{PANEL, PackedF32, RowsF32, kernel};
use crate::pool::scratch_of;
use crate::vector::softmax;
use crate::{Cpu, Scratch};

/// Positions that a head which grows begins with.
const SMALLEST: usize = 64;

/// The keys and values of one head.
#[derive(Clone, Debug)]
pub struct HeadF32 {
    /// `(capacity, width)`: a position is an output channel of `q k^T`.
    keys: PackedF32,
    /// `(width, capacity)`: a position is one `k` of `weights v`.
    values: PackedF32,
}

impl HeadF32 {
    pub(super) fn new(capacity: usize, width: usize) -> Self {
        Self { keys: PackedF32::zeros(capacity, width), values: PackedF32::zeros(width, capacity) }
    }

    /// `(capacity, width)`.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.keys.n(), self.keys.k())
    }

    /// Writes one position. Where there is no room, it doubles: most texts need a fraction of what a model allows.
    pub(super) fn set(&mut self, position: usize, key: &[f32], value: &[f32]) {
        let (capacity, width) = self.shape();
        if position >= capacity {
            let capacity = (2 * capacity).max(position + 1).max(SMALLEST);
            self.keys.grow((capacity, width));
            self.values.grow((width, capacity));
        }
        self.keys.set_channel(position, key);
        self.values.set_element(position, value);
    }

    /// Takes all keys and values at once, each `(capacity, width)`.
    pub(super) fn pack(&mut self, keys: &[f32], values: &[f32]) {
        let width = self.keys.k();
        for (position, (key, value)) in keys.chunks_exact(width).zip(values.chunks_exact(width)).enumerate() {
            self.set(position, key, value);
        }
    }

    pub(super) fn attend(
        &self,
        cpu: Cpu,
        queries: RowsF32<'_>,
        length: usize,
        scratch: &mut Scratch,
        store: &mut dyn FnMut(usize, &[f32]),
    ) {
        let kernel = kernel(cpu);
        let width = self.keys.k();
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
