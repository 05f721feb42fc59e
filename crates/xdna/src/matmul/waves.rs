//! Splits a product into waves: groups of launches (runs of a device's kernel) whose tiles fit into buffers of a
//! given size.

use std::ops::Range;

/// Size of a product, or of a part of it, counted in tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub rows: usize,
    pub depths: usize,
    pub columns: usize,
}

impl Extent {
    /// The number of launches of the product: one for each row, column and depth of tiles.
    pub fn launches(self) -> usize {
        self.rows * self.depths * self.columns
    }

    /// The number of tiles of A plus the number of tiles of B.
    pub fn inputs(self) -> usize {
        (self.rows + self.columns) * self.depths
    }
}

/// A wave: a part of a product whose launches (runs of the kernel) are submitted together. It is given by its ranges
/// of rows, depths and columns, counted in tiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wave {
    pub rows: Range<usize>,
    pub depths: Range<usize>,
    pub columns: Range<usize>,
    /// Whether the wave (a group of launches) includes the greatest depth of the product. If so, the sums of its rows
    /// and columns are complete after it.
    pub ends_sums: bool,
}

impl Wave {
    pub fn extent(&self) -> Extent {
        Extent { rows: self.rows.len(), depths: self.depths.len(), columns: self.columns.len() }
    }
}

/// Chooses the size of the waves (groups of at most `launches` launches) of a product. A wave has as many depths of
/// the product as possible, but at most `launches / 16` (and at least one). It has about as many rows as columns, so
/// that several launches use the same tile.
pub(super) fn extent(product: Extent, launches: usize) -> Extent {
    let depths = product.depths.min(launches / 16).max(1);
    let area = (launches / depths).max(1);
    let columns = product.columns.min(area / product.rows.min(area.isqrt()).max(1));
    let rows = product.rows.min(area / columns.max(1));
    Extent { rows, depths, columns }
}

/// Splits a product into waves (groups of launches) of at most the size `wave`. Waves with the same rows and columns
/// follow each other.
pub(super) fn waves(product: Extent, wave: Extent) -> impl Iterator<Item = Wave> {
    let ranges = |end: usize, step: usize| (0..end).step_by(step.max(1)).map(move |at| at..end.min(at + step));
    ranges(product.rows, wave.rows).flat_map(move |rows| {
        ranges(product.columns, wave.columns).flat_map(move |columns| {
            let rows = rows.clone();
            ranges(product.depths, wave.depths).map(move |depths| Wave {
                rows: rows.clone(),
                ends_sums: depths.end == product.depths,
                depths,
                columns: columns.clone(),
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_cover_each_launch_once_and_stay_small() {
        for (product, most) in
            [([1, 1, 1], 1), ([5, 7, 3], 16), ([32, 32, 32], 4096), ([1, 300, 9], 64), ([9, 2, 90], 33)]
        {
            let [rows, depths, columns] = product;
            let product = Extent { rows, depths, columns };
            let wave = extent(product, most);
            let mut seen = vec![0; product.launches()];
            for wave in waves(product, wave) {
                assert!(wave.extent().launches() <= most, "{wave:?}");
                assert_eq!(wave.ends_sums, wave.depths.end == depths);
                for (row, column) in wave.rows.flat_map(|row| wave.columns.clone().map(move |column| (row, column))) {
                    wave.depths.clone().for_each(|depth| seen[(row * columns + column) * depths + depth] += 1);
                }
            }
            assert!(seen.iter().all(|count| *count == 1), "{product:?}");
        }
    }

    #[test]
    fn a_wave_has_as_many_launches_as_allowed() {
        let cube = |tiles| Extent { rows: tiles, depths: tiles, columns: tiles };
        assert_eq!(extent(cube(32), 4096), Extent { rows: 11, depths: 32, columns: 11 });
        assert_eq!(extent(cube(8), 4096), cube(8));
        assert_eq!(extent(Extent { rows: 1, depths: 4, columns: 5000 }, 4096).columns, 1024);
        assert_eq!(extent(Extent { rows: 5000, depths: 4, columns: 1 }, 4096).rows, 1024);
    }

    #[test]
    fn an_empty_product_has_no_waves() {
        let product = Extent { rows: 3, depths: 0, columns: 3 };
        assert_eq!(waves(product, extent(product, 16)).count(), 0);
    }
}
