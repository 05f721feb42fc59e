//! Number formats of tensors, and their conversion to `f32`.

use std::fmt;

/// Number of values in one of ggml's blocks.
pub(crate) const BLOCK: usize = 32;

/// Size of a `Q8_0` block in bytes: 2 for the scale `d`, 32 for the values.
pub(crate) const Q8_0: usize = 2 + 32;
/// Size of a `Q5_0` block in bytes: 2 for the scale `d`, 4 for the fifth bits, 16 for the four lower bits of each
/// value. The stored integer 16 stands for zero.
pub(crate) const Q5_0: usize = 2 + 4 + 16;
/// Size of a `Q5_1` block in bytes: 4 for the scale `d` and the minimum `m`, 4 for the fifth bits, 16 for the four
/// lower bits of each value.
pub(crate) const Q5_1: usize = 4 + 4 + 16;
/// Size of a `Q4_0` block in bytes: 2 for the scale `d`, 16 for the four-bit values. The stored integer 8 stands for
/// zero.
pub(crate) const Q4_0: usize = 2 + 16;
/// Size of a `Q4_1` block in bytes: 4 for the scale `d` and the minimum `m`, 16 for the four-bit values.
pub(crate) const Q4_1: usize = 4 + 16;

/// Number format of a tensor's values (little-endian, at any alignment).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// bfloat16: the upper half of a binary32.
    Bf16,
    /// Signed 8-bit integers with one scale per row, or one for the whole tensor.
    Int8,
    /// Unsigned 8-bit integers with one scale per row, or one for the whole tensor.
    Uint8,
    /// Signed 16-bit integers with one scale for the whole tensor.
    Int16,
    /// Signed 32-bit integers with one scale per row, or one for the whole tensor.
    Int32,
    /// ggml's blocks of 32 values of 8 bits each, with one scale per block.
    Q8_0,
    /// ggml's blocks of 32 values of 5 bits each, with one scale per block.
    Q5_0,
    /// ggml's blocks of 32 values of 5 bits each, with a scale and a minimum per block.
    Q5_1,
    /// ggml's blocks of 32 values of 4 bits each, with one scale per block.
    Q4_0,
    /// ggml's blocks of 32 values of 4 bits each, with a scale and a minimum per block.
    Q4_1,
}

impl DType {
    /// Returns the number of values that are stored together as one unit, and the size of this unit in bytes. `(1,
    /// 4)` for float32, `(32, 34)` for `Q8_0`.
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

/// Converts a binary16 number to binary32 exactly. The code selects among integers instead of branching, so that
/// loops can be vectorised. It computes with normal numbers only, so subnormals cost no extra time and survive if the
/// processor flushes subnormals to zero.
pub(crate) fn f16_to_f32(bytes: [u8; 2]) -> f32 {
    const EXPONENT: u32 = 0x7c00 << 13;
    /// The exponent bias of binary32 minus that of binary16, shifted to the exponent's position in a binary32 number.
    const REBIAS: u32 = (127 - 15) << 23;
    /// The binary32 bits of 2^-14, the smallest normal binary16 number. A subnormal is converted as 2^-14 plus its
    /// value, and 2^-14 is subtracted afterwards.
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

/// Converts a bfloat16 number to binary32 exactly.
pub(crate) fn bf16_to_f32(bytes: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_16_bit_pattern_converts_as_the_half_crate_does() {
        for bits in 0..=u16::MAX {
            let same = |ours: f32, theirs: f32| {
                assert!(
                    ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()),
                    "{bits:#06x}: {ours} is not {theirs}"
                );
            };
            same(f16_to_f32(bits.to_le_bytes()), half::f16::from_bits(bits).to_f32());
            same(bf16_to_f32(bits.to_le_bytes()), half::bf16::from_bits(bits).to_f32());
        }
    }
}
