//! The cross-attention of the alignment heads, normalised, smoothed and summed.

use amanuensis_kernels::Context;
use amanuensis_kernels::attention::KeyValues;
use amanuensis_kernels::gemm::RowsF32;
use amanuensis_kernels::vector::median_of_7;

/// The median filter covers this many positions on each side of its centre, so its width is 7.
const MEDIAN_REACH: usize = 3;

/// The sum of the attention of several heads, one row per token and one column per encoder position.
pub(super) struct AttentionMatrix {
    /// The first row of the attention that is used. It is added to row 0 of `sum`.
    first_row: usize,
    positions: usize,
    /// The sum, `(rows, positions)`.
    sum: Vec<f32>,
    /// The attention weights of one head for all queries, `(queries, positions)`.
    buffer: Vec<f32>,
}

impl AttentionMatrix {
    /// A matrix of zeros, `(rows, positions)`. The rows of the attention before `first_row` will not be added to it.
    pub(super) fn new(first_row: usize, rows: usize, positions: usize) -> Self {
        Self { first_row, positions, sum: vec![0.0; rows * positions], buffer: Vec::new() }
    }

    /// Adds the attention of one head to the sum. First, it normalises the attention over the tokens and smooths it
    /// over time.
    pub(super) fn add_head(&mut self, context: &Context, window: &KeyValues, head: usize, queries: RowsF32<'_>) {
        let Self { first_row, positions, sum, buffer } = self;
        buffer.resize(queries.rows * *positions, 0.0);
        window.weights(context, head, queries, buffer);
        let (mean, inverse_deviation) = column_moments(buffer, *positions);
        let (first_row, buffer) = (*first_row, &*buffer);
        context.pool.chunks_mut(sum, *positions, &|row, sum, _| {
            let weights = &buffer[(first_row + row) * sum.len()..][..sum.len()];
            let normalised =
                weights.iter().zip(&mean).zip(&inverse_deviation).map(|((w, mean), inverse)| (w - mean) * inverse);
            add_smoothed(context, normalised, sum);
        });
    }

    /// The sum of all heads added so far, `(rows, positions)`.
    pub(super) fn sum(&self) -> &[f32] {
        &self.sum
    }
}

/// The mean and the inverse standard deviation of each column of `values`, `(rows, columns)`. If all values of a
/// column are equal, its inverse standard deviation is 0.
fn column_moments(values: &[f32], columns: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut mean, mut deviation) = (vec![0.0_f32; columns], vec![0.0_f32; columns]);
    let inverse_rows = columns as f32 / values.len() as f32;
    for row in values.chunks_exact(columns) {
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value);
    }
    for mean in &mut mean {
        *mean *= inverse_rows;
    }
    for row in values.chunks_exact(columns) {
        for ((deviation, value), mean) in deviation.iter_mut().zip(row).zip(&mean) {
            *deviation += (value - mean) * (value - mean);
        }
    }
    for deviation in &mut deviation {
        let inverse = 1.0 / (*deviation * inverse_rows).sqrt();
        *deviation = if inverse.is_finite() { inverse } else { 0.0 };
    }
    (mean, deviation)
}

/// Applies the median filter to `values` and adds the result to `sum`, which has the same length. The values are
/// reflected at both ends. If there are too few values to reflect, they are added without filtering.
fn add_smoothed(context: &Context, values: impl Iterator<Item = f32>, sum: &mut [f32]) {
    let count = sum.len();
    let mut padded = vec![0.0; MEDIAN_REACH];
    padded.extend(values);
    let mut medians = vec![0.0; count];
    if count > MEDIAN_REACH {
        for reach in 1..=MEDIAN_REACH {
            padded[MEDIAN_REACH - reach] = padded[MEDIAN_REACH + reach];
            padded.push(padded[MEDIAN_REACH + count - 1 - reach]);
        }
        median_of_7(context.cpu, &padded, &mut medians);
    } else {
        medians.copy_from_slice(&padded[MEDIAN_REACH..]);
    }
    sum.iter_mut().zip(medians).for_each(|(sum, median)| *sum += median);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_column_has_an_inverse_deviation_of_zero() {
        let (mean, inverse) = column_moments(&[1.0, 5.0, 0.0, 3.0, 5.0, 0.0], 3);
        assert_eq!((mean, inverse), (vec![2.0, 5.0, 0.0], vec![1.0, 0.0, 0.0]));
    }

    #[test]
    fn rows_are_reflected_at_their_ends() {
        let context = Context::with(amanuensis_kernels::Cpu::detect(), 1);
        let smoothed = |values: &[f32]| {
            let mut sum = vec![1.0; values.len()];
            add_smoothed(&context, values.iter().copied(), &mut sum);
            sum
        };
        // With the reflected values, the input of the filter is 3 2 1 | 0 1 2 3 9 | 3 2 1.
        assert_eq!(smoothed(&[0.0, 1.0, 2.0, 3.0, 9.0]), [3.0, 3.0, 3.0, 3.0, 3.0]);
        // Three values are too few to be filtered.
        assert_eq!(smoothed(&[5.0, 0.0, 7.0]), [6.0, 1.0, 8.0]);
    }
}
