//! ggml's quantised blocks: each block holds 32 consecutive values of a row, which have a common scale
//! (`ggml-quants.c`, `dequantize_row_*`).
//!
//! All numbers are little-endian. The scale `d` and the minimum `m` are binary16. A byte holds two four-bit values:
//! its lower half is one of the block's first sixteen values, its upper half is one of the last sixteen. For values
//! of five bits, the fifth bits of all 32 values are stored in a u32, in order.

use crate::dtype::{BLOCK, DType, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, f16_to_f32};

/// Converts the values of whole quantised blocks in `bytes` to `f32` and writes them to `out`, which must have
/// exactly as many elements as the blocks have values.
///
/// # Panics
///
/// If `dtype` is not one of ggml's block types.
pub(crate) fn dequantise(dtype: DType, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        DType::Q8_0 => each(bytes, out, |block: &[u8; Q8_0], out| {
            let (&d, values) = head(block);
            for (out, &value) in out.iter_mut().zip(values) {
                *out = f32::from(value.cast_signed()) * f16_to_f32(d);
            }
        }),
        DType::Q5_0 => each(bytes, out, |block: &[u8; Q5_0], out| {
            let (&d, rest) = head(block);
            let (&fifth, values) = head(rest);
            nibbles(values, u32::from_le_bytes(fifth), f16_to_f32(d), -16.0, 0.0, out);
        }),
        DType::Q5_1 => each(bytes, out, |block: &[u8; Q5_1], out| {
            let (&d, rest) = head(block);
            let (&m, rest) = head(rest);
            let (&fifth, values) = head(rest);
            nibbles(values, u32::from_le_bytes(fifth), f16_to_f32(d), 0.0, f16_to_f32(m), out);
        }),
        DType::Q4_0 => each(bytes, out, |block: &[u8; Q4_0], out| {
            let (&d, values) = head(block);
            nibbles(values, 0, f16_to_f32(d), -8.0, 0.0, out);
        }),
        DType::Q4_1 => each(bytes, out, |block: &[u8; Q4_1], out| {
            let (&d, rest) = head(block);
            let (&m, values) = head(rest);
            nibbles(values, 0, f16_to_f32(d), 0.0, f16_to_f32(m), out);
        }),
        other => panic!("{other} has no blocks"),
    }
}

fn each<const N: usize>(bytes: &[u8], out: &mut [f32], block: impl Fn(&[u8; N], &mut [f32; BLOCK])) {
    let (blocks, _) = bytes.as_chunks();
    let (outs, _) = out.as_chunks_mut();
    blocks.iter().zip(outs).for_each(|(bytes, out)| block(bytes, out));
}

/// Splits a block into its first `N` bytes and the rest.
fn head<const N: usize>(block: &[u8]) -> (&[u8; N], &[u8]) {
    block.split_first_chunk().expect("the sizes above have room for it")
}

/// Writes `(value + offset) * d + m` to `out` for each value of a block. `values` holds the lower four bits of the
/// values. `fifth` holds their fifth bits.
fn nibbles(values: &[u8], fifth: u32, d: f32, offset: f32, m: f32, out: &mut [f32; BLOCK]) {
    let (first, last) = out.split_at_mut(BLOCK / 2);
    for (i, &value) in values.iter().enumerate() {
        let bit = |place: usize| ((fifth >> place & 1) << 4) as u8;
        first[i] = (f32::from(value & 15 | bit(i)) + offset) * d + m;
        last[i] = (f32::from(value >> 4 | bit(i + BLOCK / 2)) + offset) * d + m;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: [u8; 2] = [0x00, 0x38];
    const MINUS_TWO: [u8; 2] = [0x00, 0xc0];

    fn values(dtype: DType, parts: &[&[u8]]) -> Vec<f32> {
        let mut out = vec![f32::NAN; BLOCK];
        dequantise(dtype, &parts.concat(), &mut out);
        out
    }

    #[test]
    fn blocks_convert_as_computed_by_hand() {
        // Byte `i` has `i` in its lower half and `15 - i` in its upper half.
        let pattern: Vec<u8> = (0..16).map(|i| i | (15 - i) << 4).collect();
        // Only values 0, 17 and 31 have their fifth bit set.
        let fifth = (1_u32 | 1 << 17 | 1 << 31).to_le_bytes();
        let nibble = |i: u8| if i < 16 { i } else { 31 - i };
        let high = |i: u8| if [0, 17, 31].contains(&i) { 16 } else { 0 };
        let expect = |value: &dyn Fn(u8) -> f32| (0..32).map(value).collect::<Vec<_>>();

        let bytes: Vec<u8> = (0..32).map(|i| (i * 8_u8).wrapping_sub(128)).collect();
        let expected = expect(&|i| (f32::from(i) * 8.0 - 128.0) / 2.0);
        assert_eq!(values(DType::Q8_0, &[&HALF, &bytes]), expected);
        let expected = expect(&|i| (f32::from(nibble(i)) - 8.0) / 2.0);
        assert_eq!(values(DType::Q4_0, &[&HALF, &pattern]), expected);
        let expected = expect(&|i| f32::from(nibble(i)) / 2.0 - 2.0);
        assert_eq!(values(DType::Q4_1, &[&HALF, &MINUS_TWO, &pattern]), expected);
        let expected = expect(&|i| (f32::from(nibble(i) + high(i)) - 16.0) / 2.0);
        assert_eq!(values(DType::Q5_0, &[&HALF, &fifth, &pattern]), expected);
        let expected = expect(&|i| f32::from(nibble(i) + high(i)) / 2.0 - 2.0);
        assert_eq!(values(DType::Q5_1, &[&HALF, &MINUS_TWO, &fifth, &pattern]), expected);
    }
}
