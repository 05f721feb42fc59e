//! The part of a tiled product that the host computes: it adds the int8 results of the NPU's launches and clamps the
//! sums.

use super::contract::clamped;
use crate::cpu::multiversion;

/// Number of elements that are added at a time, as i16 numbers.
const LANES: usize = 64;
/// Maximum number of int8 values that can be added in an i16: 256 times -128 is the smallest i16.
const MAX_TILES_PER_SUM: usize = 256;

multiversion! {
    /// Adds the tiles that the launches of an NPU kernel returned: `sums[i] += tile[i]` for each tile in `tiles`.
    /// `tiles` holds any number of tiles, one after another, each as long as `sums`.
    ///
    /// # Panics
    ///
    /// If `tiles` is not a whole number of tiles, or the length of `sums` is 0 or not a multiple of 64.
    pub fn accumulate(tiles: &[i8], sums: &mut [i32]) {
        let elements = sums.len();
        assert!(elements.is_multiple_of(LANES) && elements > 0, "the length of the sums is not a multiple of {LANES}");
        assert!(tiles.len().is_multiple_of(elements), "not a whole number of tiles");
        for tiles in tiles.chunks(MAX_TILES_PER_SUM * elements) {
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
    /// Writes `out[i] = clamp(sums[i], -128, 127)`.
    ///
    /// # Panics
    ///
    /// If the lengths differ.
    pub fn clamp_sums(sums: &[i32], out: &mut [i8]) {
        assert_eq!(sums.len(), out.len(), "sums and output differ in length");
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = clamped(*sum);
        }
    }
}
