//! Activations quantised to int8, with one scale for each row.

use super::{RowsF32, RowsI8};
use crate::disjoint::Disjoint;
use crate::lines::{K_ALIGNMENT, padded_k};
use crate::quantise::quantise_row;
use crate::{Aligned, Context, Pool, Scratch};

/// Activations `(rows, k)` in int8, with one scale for each row: `value = q * scale`.
#[derive(Clone, Debug, Default)]
pub struct QuantisedRows {
    rows: usize,
    k: usize,
    stride: usize,
    data: Aligned<i8>,
    scales: Vec<f32>,
    /// Buffer for f32 values that are about to be quantised. It is kept so that its memory is reused.
    values: Aligned<f32>,
}

impl QuantisedRows {
    /// Gives this matrix the shape `(rows, k)`. The values of a row are undefined until the row is written.
    pub fn reset(&mut self, rows: usize, k: usize) {
        // Round the distance between rows to an odd number of cache lines. With an even number, the rows would
        // compete for a few sets of the cache.
        let stride = padded_k(k) | K_ALIGNMENT;
        if (self.k, self.stride) != (k, stride) {
            // In the new shape the padding is at other positions. Clear everything, so that the padding is zero
            // again.
            self.data.resize(0);
        }
        self.data.resize(rows * stride);
        self.scales.resize(rows, 0.0);
        (self.rows, self.k, self.stride) = (rows, k, stride);
    }

    /// Replaces the contents by `source`. Each row is quantised with a scale of its own.
    pub fn assign(&mut self, context: &Context, source: RowsF32<'_>) {
        self.reset(source.rows, source.k);
        self.fill(&context.pool, &|row, quantised, _| quantise_row(context.cpu, source.row(row), quantised));
    }

    /// Writes all rows in parallel. `write(row, quantised, scratch)` must fill the `k` quantised values of a row and
    /// return their scale.
    pub(crate) fn fill(&mut self, pool: &Pool, write: &(dyn Fn(usize, &mut [i8], &mut Scratch) -> f32 + Sync)) {
        let (rows, k, stride) = (self.rows, self.k, self.stride);
        let (data, scales) = (Disjoint::new(&mut self.data), Disjoint::new(&mut self.scales));
        pool.run(rows, &|row, scratch| {
            // SAFETY: `Pool::run` visits each row once, and rows do not overlap because `k <= stride`.
            let (quantised, scale) = unsafe { (data.slice(row * stride, k), scales.slice(row, 1)) };
            scale[0] = write(row, quantised, scratch);
        });
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of elements in a row, without padding.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The scale of each row, `(rows)`.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The quantised values of one row, `(k)`.
    pub fn row(&self, index: usize) -> &[i8] {
        &self.data[index * self.stride..][..self.k]
    }

    /// Borrows `count` rows, starting at row `first`, in the form that a kernel takes.
    pub fn slice(&self, first: usize, count: usize) -> RowsI8<'_> {
        let data = &self.data[first * self.stride..(first + count) * self.stride];
        RowsI8 { data, stride: self.stride, rows: count, padded_k: padded_k(self.k) }
    }

    /// Takes the buffer for f32 values that are to be quantised, and leaves an empty one. Give it back with
    /// [`Self::keep_values`].
    pub(super) fn take_values(&mut self) -> Aligned<f32> {
        std::mem::take(&mut self.values)
    }

    /// Stores the buffer that [`Self::take_values`] returned, for the next use.
    pub(super) fn keep_values(&mut self, values: Aligned<f32>) {
        self.values = values;
    }

    /// Mutable access to `(data, stride, scales)`, for code that writes rows from several threads.
    pub(super) fn parts(&mut self) -> (&mut [i8], usize, &mut [f32]) {
        (&mut self.data, self.stride, &mut self.scales)
    }
}
