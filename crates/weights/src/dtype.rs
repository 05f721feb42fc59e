//! The types that values are stored as, and the conversion of 16-bit floats to `f32`.

use std::fmt;

/// Values in one of ggml's quantised blocks.
pub(crate) const BLOCK: usize = 32;

/// Bytes of a `q8_0` block: scale, values.
pub(crate) const Q8_0: usize = 2 + 32;
/// Bytes of a `q5_0` block: scale, fifth bits, values.
pub(crate) const Q5_0: usize = 2 + 4 + 16;
/// Bytes of a `q5_1` block: scale, minimum, fifth bits, values.
pub(crate) const Q5_1: usize = 4 + 4 + 16;
/// Bytes of a `q4_0` block: scale, values.
pub(crate) const Q4_0: usize = 2 + 16;
/// Bytes of a `q4_1` block: scale, minimum, values.
pub(crate) const Q4_1: usize = 4 + 16;

/// The type that a tensor's values are stored as. Numbers are little-endian and need not be aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// bfloat16: the upper 16 bits of a binary32.
    Bf16,
    /// Signed 8-bit integers, with one scale for each row or one for the whole tensor.
    Int8,
    /// Unsigned 8-bit integers, with one scale for each row or one for the whole tensor.
    Uint8,
    /// Signed 16-bit integers, with one scale for the whole tensor.
    Int16,
    /// Signed 32-bit integers, with one scale for each row or one for the whole tensor.
    Int32,
    /// ggml blocks of 32 values in 8 bits each, with one scale for each block.
    Q8_0,
    /// ggml blocks of 32 values in 5 bits each, with one scale for each block.
    Q5_0,
    /// ggml blocks of 32 values in 5 bits each, with one scale and one minimum for each block.
    Q5_1,
    /// ggml blocks of 32 values in 4 bits each, with one scale for each block.
    Q4_0,
    /// ggml blocks of 32 values in 4 bits each, with one scale and one minimum for each block.
    Q4_1,
}

impl DType {
    /// `(values, bytes)` of the smallest unit that values are stored in: `(1, 4)` for float32, `(32, 34)` for `q8_0`.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 | Self::Int32 => (1, 4),
            Self::F16 | Self::Bf16 | Self::Int16 => (1, 2),
            Self::Int8 | Self::Uint8 => (1, 1),
            Self::Q8_0 => (BLOCK, Q8_0),
            Self::Q5_0 => (BLOCK, Q5_0),
            Self::Q5_1 => (BLOCK, Q5_1),
            Self::Q4_0 => (BLOCK, Q4_0),
            Self::Q4_1 => (BLOCK, Q4_1),
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::Int8 => "int8",
            Self::Uint8 => "uint8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Q8_0 => "q8_0",
            Self::Q5_0 => "q5_0",
            Self::Q5_1 => "q5_1",
            Self::Q4_0 => "q4_0",
            Self::Q4_1 => "q4_1",
        })
    }
}

/// Converts binary16 (little-endian) to binary32, exactly.
///
/// The code has selects instead of branches, so that loops over it vectorise. Subnormals of binary16 are converted with
/// normal floats only. So they are not slow, and the result does not depend on the flush-to-zero mode.
pub(crate) fn f16_to_f32(bytes: [u8; 2]) -> f32 {
    const EXPONENT: u32 = 0x7c00 << 13;
    /// The difference of the exponent biases of the two formats, shifted to the exponent field of binary32.
    const REBIAS: u32 = (127 - 15) << 23;
    /// The bits of 2^-14: the value of the implicit leading bit, which a subnormal does not have.
    const SUBNORMAL: u32 = REBIAS + (1 << 23);

    let bits = u32::from(u16::from_le_bytes(bytes));
    let sign = (bits & 0x8000) << 16;
    let magnitude = (bits & 0x7fff) << 13;
    let exponent = magnitude & EXPONENT;
    let normal = magnitude + REBIAS;
    let subnormal = (f32::from_bits(magnitude + SUBNORMAL) - f32::from_bits(SUBNORMAL)).to_bits();
    let infinite_or_nan = normal + REBIAS;
    let finite = if exponent == 0 { subnormal } else { normal };
    f32::from_bits(sign | if exponent == EXPONENT { infinite_or_nan } else { finite })
}

/// Converts bfloat16 (little-endian) to binary32, exactly.
pub(crate) fn bf16_to_f32(bytes: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_16_bit_pattern_converts_as_the_half_crate_does() {
        for bits in 0..=u16::MAX {
            let same = |actual: f32, expected: f32| {
                assert!(
                    actual.to_bits() == expected.to_bits() || (actual.is_nan() && expected.is_nan()),
                    "{bits:#06x}: {actual} is not {expected}"
                );
            };
            same(f16_to_f32(bits.to_le_bytes()), half::f16::from_bits(bits).to_f32());
            same(bf16_to_f32(bits.to_le_bytes()), half::bf16::from_bits(bits).to_f32());
        }
    }
}
