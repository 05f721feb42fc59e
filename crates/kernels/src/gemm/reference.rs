//! The contract in plain Rust. Every other kernel is compared to this one.

use super::{Kernel, LineBf16, LineI8, PANEL, PanelsF32, RowsBf16, RowsF32, RowsI8, RowsOf, RowsU8};
use crate::{Cpu, Isa};

/// Runs everywhere.
pub(super) struct Reference;

pub(super) fn kernel(cpu: Cpu) -> Option<&'static dyn Kernel> {
    (cpu.isa() == Isa::Reference).then_some(&Reference)
}

impl Kernel for Reference {
    fn isa(&self) -> Isa {
        Isa::Reference
    }

    fn int8(&self, a: RowsI8<'_>, b: &[LineI8], sums: &mut [i32]) {
        multiply(a, b, sums);
    }

    fn uint8(&self, a: RowsU8<'_>, b: &[LineI8], sums: &mut [i32]) {
        multiply(a, b, sums);
    }

    fn f32(&self, a: RowsF32<'_>, b: PanelsF32<'_>, out: &mut [f32]) {
        a.check(b, out);
        for (row, out) in out.chunks_exact_mut(b.count * PANEL).enumerate() {
            for (panel, out) in out.chunks_exact_mut(PANEL).enumerate() {
                let mut total = [0.0; PANEL];
                for (line, a) in b.lines[panel * b.stride..][..a.k].iter().zip(a.row(row)) {
                    for (total, b) in total.iter_mut().zip(&line.0) {
                        *total += a * b;
                    }
                }
                out.copy_from_slice(&total);
            }
        }
    }
}

fn multiply<T: Copy + Into<i32>>(a: RowsOf<'_, T>, b: &[LineI8], sums: &mut [i32]) {
    let width = a.check(b, sums) * PANEL;
    for (row, sums) in sums.chunks_exact_mut(width).enumerate() {
        let a_row = &a.data[row * a.stride..][..a.padded_k];
        for (panel, sums) in b.chunks_exact(a.lines()).zip(sums.chunks_exact_mut(PANEL)) {
            let mut total = [0; PANEL];
            for (line, a) in panel.iter().zip(a_row.chunks_exact(4)) {
                for (total, b) in total.iter_mut().zip(line.0.chunks_exact(4)) {
                    *total += a.iter().zip(b).map(|(a, b)| (*a).into() * i32::from(*b)).sum::<i32>();
                }
            }
            sums.copy_from_slice(&total);
        }
    }
}

pub(super) fn multiply_bf16(a: RowsBf16<'_>, b: &[LineBf16], out: &mut [f32]) {
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
