//! Integer matrices, together with the scales that convert them to f32.

use amanuensis_kernels::Cpu;
use amanuensis_kernels::quantise::quantise_row;
use amanuensis_kernels::tile::SHIFT;

/// The integer product of two quantised matrices, with scales:
/// `(A x B)[i, j] ~ values[i, j] * unit * row_scales[i] * column_scales[j]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaled<T> {
    /// The integers of the product `(m, n)`, row-major, before scaling. A tile-exact product has int8 values, because
    /// every tile product is reduced to int8. A product by the full contract has exact i32 sums.
    pub values: Vec<T>,
    /// One scale for each of the `m` rows of A.
    pub row_scales: Vec<f32>,
    /// One scale for each of the `n` columns of B.
    pub column_scales: Vec<f32>,
    /// The number of units of the exact integer product that one unit of `values` stands for: 128 by the tile-exact
    /// contract, 1 by the full contract.
    pub unit: f32,
}

impl Scaled<i8> {
    pub(super) fn of_tiles(values: Vec<i8>, row_scales: Vec<f32>, column_scales: Vec<f32>) -> Self {
        Self { values, row_scales, column_scales, unit: (1 << SHIFT) as f32 }
    }

    /// Converts the product to f32, `(m, n)`, row-major.
    pub fn to_f32(&self) -> Vec<f32> {
        self.scaled(|value| f32::from(*value))
    }
}

impl Scaled<i32> {
    /// Converts the product to f32, `(m, n)`, row-major.
    pub fn to_f32(&self) -> Vec<f32> {
        self.scaled(|value| *value as f32)
    }
}

impl<T> Scaled<T> {
    fn scaled(&self, number: impl Fn(&T) -> f32) -> Vec<f32> {
        let rows = self.values.chunks_exact(self.column_scales.len()).zip(&self.row_scales);
        let row = |(values, row_scale): (&[T], &f32)| {
            let scales = self.column_scales.iter().map(|scale| self.unit * row_scale * scale);
            values.iter().zip(scales).map(|(value, scale)| number(value) * scale).collect::<Vec<f32>>()
        };
        rows.flat_map(row).collect()
    }
}

/// Quantises a matrix `(rows, columns)` to int8 with one scale per row. `None` if a value is infinite or NaN.
pub(super) fn quantise_rows(cpu: Cpu, values: &[f32], [rows, columns]: [usize; 2]) -> Option<(Vec<i8>, Vec<f32>)> {
    let mut quantised = vec![0; rows * columns];
    let rows = values.chunks_exact(columns).zip(quantised.chunks_exact_mut(columns));
    let scales = rows.map(|(values, quantised)| quantise_row(cpu, values, quantised)).collect();
    are_finite(values).then_some((quantised, scales))
}

/// Quantises a matrix `(rows, columns)` to int8 with one scale per column. `None` if a value is infinite or NaN.
pub(super) fn quantise_columns(cpu: Cpu, values: &[f32], [rows, columns]: [usize; 2]) -> Option<(Vec<i8>, Vec<f32>)> {
    let mut quantised = vec![0; rows * columns];
    let (mut column_values, mut column_quantised) = (vec![0.0; rows], vec![0; rows]);
    let scale = |column: usize| {
        let source = values[column..].iter().step_by(columns);
        column_values.iter_mut().zip(source).for_each(|(to, from)| *to = *from);
        let scale = quantise_row(cpu, &column_values, &mut column_quantised);
        let target = quantised[column..].iter_mut().step_by(columns);
        target.zip(&column_quantised).for_each(|(to, from)| *to = *from);
        scale
    };
    let scales = (0..columns).map(scale).collect();
    are_finite(values).then_some((quantised, scales))
}

pub(super) fn are_finite(values: &[f32]) -> bool {
    values.iter().all(|value| value.is_finite())
}
