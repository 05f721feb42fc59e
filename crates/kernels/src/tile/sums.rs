//! What the host does with the results of launches.

use crate::cpu::multiversion;

/// Numbers added up side by side, in i16.
const LANES: usize = 64;
/// So many int8 numbers fit into an i16 sum: 256 times -128 is its least value.
const TILES: usize = 256;

multiversion! {
    /// Adds the results of launches: `tiles` holds any number of tiles, one after the other, each of the length of
    /// `sums`, and `sums[i] += tile[i]` for each of them.
    ///
    /// # Panics
    /// If `tiles` holds a part of a tile, or a tile is no multiple of 64 numbers.
    pub fn accumulate(tiles: &[i8], sums: &mut [i32]) {
        let elements = sums.len();
        assert!(elements.is_multiple_of(LANES) && elements > 0, "sums of another size");
        assert!(tiles.len().is_multiple_of(elements), "a part of a tile");
        for tiles in tiles.chunks(TILES * elements) {
            for (index, sums) in sums.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                let mut partial = [0_i16; LANES];
                for tile in tiles.chunks_exact(elements) {
                    let lanes = &tile.as_chunks::<LANES>().0[index];
                    for (sum, value) in partial.iter_mut().zip(lanes) {
                        *sum += i16::from(*value);
                    }
                }
                for (sum, partial) in sums.iter_mut().zip(partial) {
                    *sum += i32::from(partial);
                }
            }
        }
    }
}

multiversion! {
    /// `out[i] = clamp(sums[i], -128, 127)`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn clamp_sums(sums: &[i32], out: &mut [i8]) {
        assert_eq!(sums.len(), out.len(), "output of another length");
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = super::clamped(*sum);
        }
    }
}
