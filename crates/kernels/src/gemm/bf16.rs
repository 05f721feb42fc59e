//! The bf16 product in plain Rust, for instruction sets that have no bf16 instructions.

use super::RowsBf16;
use crate::lines::{LineBf16, PANEL};

/// Computes the bf16 product that `Kernel::bf16` specifies, and writes it to `out`, `(a.rows, panels * 16)`.
pub(super) fn multiply(a: RowsBf16<'_>, b: &[LineBf16], out: &mut [f32]) {
    let value = |bits: u16| f32::from_bits(u32::from(bits) << 16);
    let width = a.check(b, out) * PANEL;
    for (row, out) in out.chunks_exact_mut(width).enumerate() {
        let a_row = &a.data[row * a.stride..][..a.padded_k];
        for (panel, out) in b.chunks_exact(a.lines()).zip(out.chunks_exact_mut(PANEL)) {
            out.fill(0.0);
            for (line, a) in panel.iter().zip(a_row.chunks_exact(2)) {
                for (out, b) in out.iter_mut().zip(line.0.chunks_exact(2)) {
                    *out += value(a[0]) * value(b[0]);
                    *out += value(a[1]) * value(b[1]);
                }
            }
        }
    }
}
