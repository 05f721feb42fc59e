//! Functions of every element of a row: exp, softmax, GELU.
//!
//! All are polynomials without branches, so that the compiler turns them into vector code, and all are plain IEEE
//! operations in a fixed order, so that every instruction set gives the same bits.

use crate::cpu::multiversion;

/// Reductions keep this many partial results, whatever the width of the machine's registers.
pub(crate) const LANES: usize = 16;

/// `e^x` for `x <= 88`, relative error below 2e-7; zero below -87.3 (Cephes `expf`: split off powers of two, then a
/// polynomial of degree 6).
#[inline(always)]
#[allow(clippy::inline_always, reason = "must be compiled into each version of its caller")]
pub(crate) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let clamped = if x > -87.3 { x } else { -87.3 };
    // The low bits of this are the power as an integer.
    let rounded = clamped * std::f32::consts::LOG2_E + ROUND;
    let power = rounded - ROUND;
    let rest = clamped - power * 0.693_359_4_f32 + power * 2.121_944_4e-4;
    let mut y = 1.987_569_1e-4;
    y = y * rest + 1.398_199_9e-3;
    y = y * rest + 8.333_452e-3;
    y = y * rest + 4.166_579_6e-2;
    y = y * rest + 1.666_666_5e-1;
    y = y * rest + 0.5;
    let fraction = y * rest * rest + rest + 1.0;
    let two_to_power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    if x > -87.3 { fraction * two_to_power } else { 0.0 }
}

/// The error function, absolute error below 3e-7: the rational approximation of XLA and Eigen (`ErfImpl32`).
#[inline(always)]
#[allow(clippy::inline_always, reason = "must be compiled into each version of its caller")]
fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let mut p = -2.726_142_4e-10;
    p = p * square + 2.770_681_5e-8;
    p = p * square - 2.101_024e-6;
    p = p * square - 5.692_506_5e-5;
    p = p * square - 7.349_906e-4;
    p = p * square - 2.954_6e-3;
    p = p * square - 1.609_603_3e-2;
    let mut q = -1.456_607_2e-5;
    q = q * square - 2.133_740_6e-4;
    q = q * square - 1.682_827e-3;
    q = q * square - 7.373_329e-3;
    q = q * square - 1.426_473_9e-2;
    x * p / q
}

multiversion! {
    /// The exact GELU in place: `x * (1 + erf(x / sqrt 2)) / 2` (Hendrycks and Gimpel, arXiv 1606.08415).
    pub fn gelu(values: &mut [f32]) {
        for value in values {
            *value *= 0.5 + 0.5 * erf(*value * std::f32::consts::FRAC_1_SQRT_2);
        }
    }
}

multiversion! {
    /// Softmax of `scores * scale` in place. An empty row stays empty.
    pub fn softmax(scores: &mut [f32], scale: f32) {
        let largest = maximum(scores);
        let mut partial = [0.0_f32; LANES];
        let mut chunks = scores.chunks_exact_mut(LANES);
        for chunk in &mut chunks {
            for (sum, score) in partial.iter_mut().zip(chunk) {
                *score = exp((*score - largest) * scale);
                *sum += *score;
            }
        }
        for (sum, score) in partial.iter_mut().zip(chunks.into_remainder()) {
            *score = exp((*score - largest) * scale);
            *sum += *score;
        }
        let inverse = 1.0 / partial.into_iter().sum::<f32>();
        for score in scores {
            *score *= inverse;
        }
    }
}

multiversion! {
    /// `(largest, log of the sum of e^(x - largest))`: the log-probability of `x[i]` is `x[i] - largest - log_sum`.
    /// Minus infinity counts as probability zero.
    pub fn log_sum_exp(logits: &[f32]) -> (f32, f32) {
        let largest = maximum(logits);
        let mut partial = [0.0_f32; LANES];
        let chunks = logits.chunks_exact(LANES);
        for (sum, logit) in partial.iter_mut().zip(chunks.remainder()) {
            *sum += exp(*logit - largest);
        }
        for chunk in chunks {
            for (sum, logit) in partial.iter_mut().zip(chunk) {
                *sum += exp(*logit - largest);
            }
        }
        (largest, partial.into_iter().sum::<f32>().ln())
    }
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "must be compiled into each version of its caller")]
pub(crate) fn maximum(values: &[f32]) -> f32 {
    let mut largest = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    for (largest, value) in largest.iter_mut().zip(chunks.remainder()) {
        *largest = *value;
    }
    for chunk in chunks {
        for (largest, value) in largest.iter_mut().zip(chunk) {
            *largest = if *value > *largest { *value } else { *largest };
        }
    }
    largest.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpu, Isa};

    fn reference() -> Cpu {
        Cpu::with(Isa::Reference).unwrap()
    }

    /// erf by its Taylor series in f64, exact enough below 4.
    fn erf_series(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn gelu_is_exact() {
        for step in -500..=500 {
            let x = step as f32 * 0.01;
            let mut value = [x];
            gelu(reference(), &mut value);
            let expected = f64::from(x) * 0.5 * (1.0 + erf_series(f64::from(x) / std::f64::consts::SQRT_2));
            assert!((f64::from(value[0]) - expected).abs() < 1e-6, "{x}: {} {expected}", value[0]);
        }
    }

    #[test]
    fn exp_is_accurate() {
        for step in -8700..=100 {
            let x = step as f32 * 0.01;
            let expected = f64::from(x).exp();
            assert!((f64::from(exp(x)) / expected - 1.0).abs() < 2e-7, "{x}");
        }
        assert_eq!(exp(f32::NEG_INFINITY).to_bits(), 0);
        assert_eq!(exp(-1e9).to_bits(), 0);
    }

    #[test]
    fn softmax_sums_to_one_and_agrees_with_log_sum_exp() {
        for length in [1, 2, 15, 16, 17, 1500] {
            let logits: Vec<f32> = (0..length).map(|i| ((i * 37) % 101) as f32 * 0.3 - 12.0).collect();
            let mut weights = logits.clone();
            softmax(reference(), &mut weights, 1.0);
            assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            let (largest, log_sum) = log_sum_exp(reference(), &logits);
            for (logit, weight) in logits.iter().zip(&weights) {
                assert!((logit - largest - log_sum - weight.ln()).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn impossible_logits_have_no_weight() {
        let mut weights = [0.0, f32::NEG_INFINITY, 0.0];
        softmax(reference(), &mut weights, 0.125);
        assert_eq!(weights.map(f32::to_bits), [0.5_f32, 0.0, 0.5].map(f32::to_bits));
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let values: Vec<f32> = (0..1501).map(|i| ((i * 7919) % 1009) as f32 * 0.037 - 18.6).collect();
        let run = |cpu| {
            let (mut a, mut b) = (values.clone(), values.clone());
            gelu(cpu, &mut a);
            softmax(cpu, &mut b, 0.125);
            let (largest, sum) = log_sum_exp(cpu, &values);
            a.into_iter().chain(b).chain([largest, sum]).map(f32::to_bits).collect::<Vec<_>>()
        };
        for cpu in Cpu::all() {
            assert_eq!(run(cpu), run(reference()), "{}", cpu.isa());
        }
    }
}
