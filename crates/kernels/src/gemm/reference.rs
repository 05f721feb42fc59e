//! The kernel in plain Rust, which runs on every machine. Tests compare all other kernels with it.

use super::{Kernel, PanelsF32, RowsF32, RowsI8, RowsOf, RowsU8};
use crate::lines::{LineI8, PANEL};
use crate::{Cpu, Isa};

/// The kernel in plain Rust, compiled for the baseline of the compilation target.
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

/// Multiplies rows of signed or unsigned bytes (`T`) with all panels of weights.
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
