//! The cell of a long short-term memory (Hochreiter and Schmidhuber, Neural Computation 9(8), 1997, with a forget
//! gate).

use crate::cpu::multiversion;
use crate::vector::exp;

multiversion! {
    /// Computes one time step of an LSTM cell with `n` units.
    ///
    /// `gates` is `(4, n)`: the input gate, forget gate, cell candidate and output gate. Each is the sum of the
    /// projections of the input and of the hidden state, before the activation function. `cell` and `hidden`, each
    /// `(n)`, hold the state and are updated in place.
    ///
    /// # Panics
    ///
    /// If the lengths do not agree.
    pub fn lstm_cell(gates: &[f32], cell: &mut [f32], hidden: &mut [f32]) {
        let n = cell.len();
        assert!(gates.len() == 4 * n && hidden.len() == n, "gates do not have the shape (4, n)");
        let (input, rest) = gates.split_at(n);
        let (forget, rest) = rest.split_at(n);
        let (candidate, output) = rest.split_at(n);
        for unit in 0..n {
            let kept = sigmoid(forget[unit]) * cell[unit];
            cell[unit] = sigmoid(input[unit]).mul_add(tanh(candidate[unit]), kept);
            hidden[unit] = sigmoid(output[unit]) * tanh(cell[unit]);
        }
    }
}

/// For arguments of a larger magnitude, sigmoid and tanh equal their limits in f32. Clamping keeps the argument
/// inside the range of [`exp`].
const LIMIT: f32 = 40.0;

#[inline(always)]
#[allow(clippy::inline_always, reason = "must be compiled for the instruction set of each caller")]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-clamped(x)))
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "must be compiled for the instruction set of each caller")]
fn tanh(x: f32) -> f32 {
    2.0 * sigmoid(2.0 * x) - 1.0
}

/// `x`, clamped to `-LIMIT..=LIMIT`.
#[inline(always)]
#[allow(clippy::inline_always, reason = "must be compiled for the instruction set of each caller")]
fn clamped(x: f32) -> f32 {
    let x = if x > LIMIT { LIMIT } else { x };
    if x < -LIMIT { -LIMIT } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;

    #[test]
    fn a_step_follows_the_definition_with_the_same_bits_on_every_instruction_set() {
        let n = 37;
        let gates: Vec<f32> = (0..4 * n).map(|i| ((i * 7919) % 1009) as f32 * 0.02 - 10.0).collect();
        let start: Vec<f32> = (0..n).map(|i| i as f32 * 0.1 - 2.0).collect();
        let mut first = None;
        for cpu in Cpu::all() {
            let (mut cell, mut hidden) = (start.clone(), vec![0.0; n]);
            lstm_cell(cpu, &gates, &mut cell, &mut hidden);
            for unit in 0..n {
                let gate = |index: usize| f64::from(gates[index * n + unit]);
                let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
                let expected = sigmoid(gate(1)) * f64::from(start[unit]) + sigmoid(gate(0)) * gate(2).tanh();
                assert!((f64::from(cell[unit]) - expected).abs() < 1e-5);
                assert!((f64::from(hidden[unit]) - sigmoid(gate(3)) * expected.tanh()).abs() < 1e-5);
            }
            let bits: Vec<u32> = cell.iter().chain(&hidden).map(|value| value.to_bits()).collect();
            assert_eq!(first.get_or_insert_with(|| bits.clone()), &bits, "{}", cpu.isa());
        }
    }
}
