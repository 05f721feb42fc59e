//! Errors of matrix products.

use std::error::Error;

/// Why a product could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum MatmulError<E: Error + 'static> {
    /// A matrix has no rows or no columns.
    #[error("a product of {0}x{1} by {1}x{2}: every size must be at least 1")]
    Empty(usize, usize, usize),
    /// The number of elements of a matrix differs from what its shape requires.
    #[error("{name} has {found} elements, which is not {rows} x {columns}")]
    Length {
        /// The name of the matrix.
        name: &'static str,
        /// Number of elements of the matrix.
        found: usize,
        /// Number of rows that the product requires.
        rows: usize,
        /// Number of columns that the product requires.
        columns: usize,
    },
    /// The product is so deep that its sums may overflow 32 bits.
    #[error("a product of depth {k} may overflow; the maximum is {most}")]
    TooDeep {
        /// Depth of the product.
        k: usize,
        /// The maximum depth for which no sum can overflow.
        most: usize,
    },
    /// A matrix contains infinity or NaN, which cannot be quantised.
    #[error("{0} contains infinity or NaN")]
    NotFinite(&'static str),
    /// The device returned an error.
    #[error(transparent)]
    Device(#[from] E),
}

/// Returns an error if the product `(m, k) x (k, n)` is empty, if its matrices do not have `a` and `b` elements, or
/// if its depth `k` exceeds `most`.
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
