//! Errors of matrix products.

use std::error::Error;

/// Why a product could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum MatmulError<E: Error + 'static> {
    /// A matrix has no rows or no columns.
    #[error("a product of {0}x{1} by {1}x{2}: every size must be at least 1")]
    Empty(usize, usize, usize),
    /// The number of elements does not fit the shape.
    #[error("{name} has {found} elements, which is not {rows} x {columns}")]
    Length {
        /// The name of the matrix.
        name: &'static str,
        /// Number of elements.
        found: usize,
        /// Expected rows.
        rows: usize,
        /// Expected columns.
        columns: usize,
    },
    /// Sums over this depth may overflow 32 bits.
    #[error("a product of depth {k} may overflow; the maximum is {most}")]
    TooDeep {
        /// Depth of the product.
        k: usize,
        /// The maximum depth.
        most: usize,
    },
    /// Infinity and NaN cannot be quantised.
    #[error("{0} contains infinity or NaN")]
    NotFinite(&'static str),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] E),
}

/// Checks that `a` and `b` elements fit the product `(m, k) x (k, n)` and that the depth is at most `most`.
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
