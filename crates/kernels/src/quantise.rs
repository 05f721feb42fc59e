//! Symmetric quantisation of f32 to int8, with one scale for each row.

use crate::cpu::multiversion;
use crate::vector::{LANES, larger, reduce};

/// Rounds `value` to the nearest integer, ties to even. The integer is in the low bits of the result. Valid for
/// magnitudes up to 2^21.
///
/// This is cheaper than `as i32`, which adds instructions to define the result for NaN and infinity.
#[inline(always)]
#[allow(clippy::inline_always, reason = "must be compiled for the instruction set of each caller")]
pub(crate) fn round_to_bits(value: f32) -> u32 {
    // This is 1.5 * 2^23. Consecutive floats of this size differ by 1, so adding it to a number rounds that number to
    // an integer.
    const ROUND: f32 = 12_582_912.0;
    (value + ROUND).to_bits()
}

multiversion! {
    /// Quantises `values` to -127..=127 and returns the scale: `values[i]` is about `quantised[i] * scale`. Both slices
    /// have the same length.
    ///
    /// The largest magnitude becomes 127. A row of zeros gives zeros and the scale 0. Values must be finite.
    pub fn quantise_row(values: &[f32], quantised: &mut [i8]) -> f32 {
        let mut largest = [0.0_f32; LANES];
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                largest[lane] = larger(chunk[lane].abs(), largest[lane]);
            }
        }
        for (largest, value) in largest.iter_mut().zip(rest) {
            *largest = larger(value.abs(), *largest);
        }
        let largest = reduce(largest, larger);
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        for (quantised, value) in quantised.iter_mut().zip(values) {
            // Because the inverse is rounded, a magnitude may come out slightly above 127. Without the clamp it could
            // become -128, which the kernels do not support.
            *quantised = round_to_bits((*value * inverse).clamp(-127.0, 127.0)) as i8;
        }
        largest / 127.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let values: Vec<f32> = (0..1037).map(|i| ((i * 7919) % 1009) as f32 * 0.037 - 18.6).collect();
        let mut expected = vec![0; values.len()];
        let scale = quantise_row(Cpu::with(crate::Isa::Reference).unwrap(), &values, &mut expected);
        for cpu in Cpu::all() {
            let mut quantised = vec![0; values.len()];
            assert_eq!(quantise_row(cpu, &values, &mut quantised).to_bits(), scale.to_bits());
            assert_eq!(quantised, expected);
        }
        for (value, quantised) in values.iter().zip(expected) {
            assert!((value - f32::from(quantised) * scale).abs() <= scale * 0.5001);
        }
    }

    #[test]
    fn the_largest_magnitude_becomes_127_and_zeros_stay_zero() {
        for cpu in Cpu::all() {
            let mut quantised = [0; 4];
            for scale in [1e-30_f32, 0.3, 1e30] {
                quantise_row(cpu, &[scale, -scale, scale / 2.0, 0.0], &mut quantised);
                assert_eq!(quantised, [127, -127, 64, 0]);
            }
            assert_eq!(quantise_row(cpu, &[0.0; 4], &mut quantised).to_bits(), 0);
            assert_eq!(quantised, [0; 4]);
        }
    }
}
