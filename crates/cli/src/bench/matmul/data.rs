//! Input values for the measured matrix products.

/// Returns a pseudorandom value in -127..=127. The value depends only on `index`, so every run uses the same values.
pub fn byte(index: usize) -> i8 {
    // This is the mixing step of the random number generator SplitMix64.
    let mut bits = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((((bits >> 32) * 255) >> 32) as i32 - 127) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_except_minus_128_occurs() {
        let mut counts = [0; 256];
        (0..25_500).for_each(|index| counts[usize::from(byte(index).cast_unsigned())] += 1);
        assert_eq!(counts[usize::from((-128_i8).cast_unsigned())], 0);
        assert_eq!(counts.iter().filter(|count| **count > 0).count(), 255);
    }
}
