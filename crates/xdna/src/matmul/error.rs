//! Why there is no product.

use std::error::Error;

/// Why there is no product.
#[derive(Debug, thiserror::Error)]
pub enum MatmulError<E: Error + 'static> {
    /// A matrix has no rows or no columns.
    #[error("a product of {0}x{1} by {1}x{2}: sizes are from 1 on")]
    Empty(usize, usize, usize),
    /// A matrix has more or fewer numbers than its shape says.
    #[error("{name} has {found} numbers, and with {rows} rows of {columns} it would have another number of them")]
    Length {
        /// Which matrix.
        name: &'static str,
        /// Numbers that there are.
        found: usize,
        /// Rows that it should have.
        rows: usize,
        /// Columns that it should have.
        columns: usize,
    },
    /// Sums of so many terms may not fit into 32 bits.
    #[error("a product {k} deep may overflow; at most {most}")]
    TooDeep {
        /// Depth of the product.
        k: usize,
        /// The most that there may be.
        most: usize,
    },
    /// There is no scale for infinity and NaN.
    #[error("{0} holds a number that is not finite")]
    NotFinite(&'static str),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] E),
}

/// Refuses what is no product `(m, k) x (k, n)` of `a` by `b` numbers, or is more than `most` deep.
pub(super) fn check<E: Error>(a: usize, b: usize, [m, k, n]: [usize; 3], most: usize) -> Result<(), MatmulError<E>> {
    if [m, k, n].contains(&0) {
        return Err(MatmulError::Empty(m, k, n));
    }
    for (name, found, [rows, columns]) in [("A", a, [m, k]), ("B", b, [k, n])] {
        if rows.checked_mul(columns) != Some(found) {
            return Err(MatmulError::Length { name, found, rows, columns });
        }
    }
    if k > most { Err(MatmulError::TooDeep { k, most }) } else { Ok(()) }
}
