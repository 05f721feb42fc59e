//! F32 matrices packed into panels of 16 output channels.

use super::PanelsF32;
use crate::Pool;
use crate::lines::{LineF32, PANEL};

const ZERO_LINE: LineF32 = LineF32([0.0; PANEL]);

/// Weights, keys or values `(n, k)` in f32 panels.
#[derive(Clone, Debug)]
pub struct PackedF32 {
    n: usize,
    k: usize,
    lines: Vec<LineF32>,
}

impl PackedF32 {
    /// Creates a matrix of zeros, to be filled with [`PackedF32::set_channel`] and [`PackedF32::set_element`].
    pub fn zeros(n: usize, k: usize) -> Self {
        Self { n, k, lines: vec![ZERO_LINE; n.div_ceil(PANEL) * k] }
    }

    /// Sets the shape to `(n, k)` and all elements to zero. Reuses the memory if it is large enough.
    pub(crate) fn reset(&mut self, n: usize, k: usize) {
        (self.n, self.k) = (n, k);
        self.lines.clear();
        self.lines.resize(n.div_ceil(PANEL) * k, ZERO_LINE);
    }

    /// Packs weights `(n, k)`. `row(channel, out)` must write the `k` weights of an output channel to `out`. It is
    /// called from several threads.
    pub fn pack(pool: &Pool, n: usize, k: usize, row: &(dyn Fn(usize, &mut [f32]) + Sync)) -> Self {
        let mut packed = Self::zeros(n, k);
        pool.chunks_mut(&mut packed.lines, k, &|panel, lines, _| {
            let mut weights = vec![0.0; k];
            for column in 0..PANEL.min(n - panel * PANEL) {
                row(panel * PANEL + column, &mut weights);
                for (line, weight) in lines.iter_mut().zip(&weights) {
                    line.0[column] = *weight;
                }
            }
        });
        packed
    }

    /// Number of output channels.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Number of elements in an output channel.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Borrows `count` panels, starting at panel `first`.
    pub fn panels(&self, first: usize, count: usize) -> PanelsF32<'_> {
        PanelsF32 { lines: &self.lines[first * self.k..(first + count) * self.k], stride: self.k, count }
    }

    /// Writes the `k` values of one output channel.
    ///
    /// # Panics
    ///
    /// If `values` is not `k` long, or `channel` is not less than `n`.
    pub fn set_channel(&mut self, channel: usize, values: &[f32]) {
        assert!(
            channel < self.n && values.len() == self.k,
            "{} values for channel {channel} of ({}, {})",
            values.len(),
            self.n,
            self.k
        );
        let panel = &mut self.lines[channel / PANEL * self.k..][..self.k];
        for (line, value) in panel.iter_mut().zip(values) {
            line.0[channel % PANEL] = *value;
        }
    }

    /// Writes the element at `index` of every output channel; `values` is `(n)`.
    ///
    /// # Panics
    ///
    /// If `values` is not `n` long, or `index` is not less than `k`.
    pub fn set_element(&mut self, index: usize, values: &[f32]) {
        assert!(
            index < self.k && values.len() == self.n,
            "{} values for element {index} of ({}, {})",
            values.len(),
            self.n,
            self.k
        );
        for (panel, values) in values.chunks(PANEL).enumerate() {
            self.lines[panel * self.k + index].0[..values.len()].copy_from_slice(values);
        }
    }
}
