//! A matrix product by the full contract (exact sums over the whole depth), on the processor.

use std::convert::Infallible;

use amanuensis_kernels::gemm::{PANEL, PackedI8, QuantisedRows, RowsF32, kernel};
use amanuensis_kernels::{Aligned, Context};

use super::error::{MatmulError, check};
use super::scaled::{Scaled, are_finite};

/// The maximum depth of a product: each term is at most `127 * 127`, and the sum of this many terms fits into 32
/// bits.
const MAX_DEPTH: usize = i32::MAX as usize / (127 * 127);
/// Number of rows of the result that one task computes.
const ROWS: usize = 32;

/// Computes `A x B` of f32 matrices by the full contract. A is quantised to int8 by rows and B by columns,
/// symmetrically, with the largest magnitude mapped to 127. The sums over the whole depth are exact. `a` is `(m, k)`,
/// `b` is `(k, n)`, and the result is `(m, n)`, all row-major.
pub fn full(
    context: &Context,
    a: &[f32],
    b: &[f32],
    [m, k, n]: [usize; 3],
) -> Result<Scaled<i32>, MatmulError<Infallible>> {
    check(a.len(), b.len(), [m, k, n], MAX_DEPTH)?;
    for (name, values) in [("A", a), ("B", b)] {
        if !are_finite(values) {
            return Err(MatmulError::NotFinite(name));
        }
    }
    let mut rows = QuantisedRows::default();
    rows.assign(context, RowsF32::new(a, k));
    let columns = PackedI8::quantise(context, n, k, &|column, out| {
        out.iter_mut().zip(b[column..].iter().step_by(n)).for_each(|(to, from)| *to = *from);
    });
    let mut values = vec![0; m * n];
    context.pool.chunks_mut(&mut values, ROWS * n, &|block, values, _| {
        let (first, count) = (block * ROWS, values.len() / n);
        let mut group = Aligned::default();
        let panels = columns.panels(0, n.div_ceil(PANEL));
        kernel(context.cpu).int8_by_groups(rows.slice(first, count), panels, &mut group, &mut |panel, sums| {
            let (column, width) = (panel * PANEL, sums.len() / count);
            for (values, sums) in values.chunks_exact_mut(n).zip(sums.chunks_exact(width)) {
                let kept = width.min(n - column);
                values[column..][..kept].copy_from_slice(&sums[..kept]);
            }
        });
    });
    let column_scales = columns.scales()[..n].to_vec();
    Ok(Scaled { values, row_scales: rows.scales().to_vec(), column_scales, unit: 1.0 })
}
