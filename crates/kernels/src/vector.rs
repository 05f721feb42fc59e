//! Element-wise functions and reductions of a row: exp, GELU, softmax, log-sum-exp, median.
//!
//! The functions are polynomials without branches, which the compiler turns into vector code. They consist of IEEE
//! operations in a fixed order, so every instruction set gives the same bits. The compiler fuses a multiplication and
//! an addition only where the code says `mul_add`. On a processor without FMA, a slow library function computes the
//! same bits.

#![allow(clippy::inline_always, reason = "helpers must be compiled for the instruction set of each caller")]

use crate::cpu::multiversion;

/// Number of partial results in a reduction. It does not depend on the width of the machine's registers, so all
/// machines add in the same order.
pub(crate) const LANES: usize = 16;

/// Combines all lanes into one value: repeatedly combines the upper half of the lanes with the lower half, until one
/// lane is left.
#[inline(always)]
pub(crate) fn reduce<T: Copy>(mut lanes: [T; LANES], combine: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = combine(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// The larger of two numbers, neither of which is NaN.
#[inline(always)]
pub(crate) fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// Converts a number to the bits of the nearest bf16, ties away from zero.
#[inline(always)]
pub(crate) fn to_bf16(value: f32) -> u16 {
    (value.to_bits().wrapping_add(0x8000) >> 16) as u16
}

/// The value of a bf16, given its bits.
#[inline(always)]
pub(crate) fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Computes `e^x` for `x <= 88`, with a relative error below 2e-7. The result is zero for `x` below -87.3.
///
/// The method is that of `expf` in the Cephes library: split off a power of two, then evaluate a polynomial.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // This is 1.5 * 2^23. Consecutive floats of this size differ by 1, so adding it to a number rounds that number to
    // an integer.
    const ROUND: f32 = 12_582_912.0;
    let clamped = if x > -87.3 { x } else { -87.3 };
    // The low bits of `rounded` hold the exponent of two as an integer.
    let rounded = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let power = rounded - ROUND;
    let rest = power.mul_add(2.121_944_4e-4, power.mul_add(-0.693_359_4, clamped));
    let mut y = 1.987_569_1e-4_f32;
    y = y.mul_add(rest, 1.398_199_9e-3);
    y = y.mul_add(rest, 8.333_452e-3);
    y = y.mul_add(rest, 4.166_579_6e-2);
    y = y.mul_add(rest, 1.666_666_5e-1);
    y = y.mul_add(rest, 0.5);
    let fraction = (y * rest).mul_add(rest, rest) + 1.0;
    let two_to_power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    if x > -87.3 { fraction * two_to_power } else { 0.0 }
}

/// Computes the exact GELU, `x * (1 + erf(x / sqrt 2)) / 2` (Hendrycks and Gimpel, arXiv 1606.08415), with an
/// absolute error below 2e-6.
///
/// A polynomial in `x^2` approximates `erf(x / sqrt 2) / (2 x)`. It is fitted to minimise the error of the GELU for
/// magnitudes of `x` up to `LIMIT`. For larger magnitudes, the polynomial is evaluated at the limit, where the result
/// is `x` or 0.
#[inline(always)]
pub(crate) fn gelu_of(x: f32) -> f32 {
    const LIMIT: f32 = 5.25;
    /// Coefficients of the polynomial in `u`, highest power first. `u` is `x^2`, mapped from `0..LIMIT^2` to `-1..1`.
    const COEFFICIENTS: [f32; 13] = [
        9.758_614e-4,
        -2.832_002_7e-3,
        3.114_975e-3,
        -3.601_731_5e-3,
        7.876_416e-3,
        -1.366_747_2e-2,
        1.884_514_8e-2,
        -2.483_851_8e-2,
        3.196_419_4e-2,
        -3.978_254e-2,
        4.965_079_2e-2,
        -6.712_634e-2,
        0.134_659_3,
    ];
    let clamped = if x > LIMIT { LIMIT } else { x };
    let clamped = if clamped < -LIMIT { -LIMIT } else { clamped };
    let u = (clamped * clamped).mul_add(2.0 / (LIMIT * LIMIT), -1.0);
    let mut y = COEFFICIENTS[0];
    for coefficient in &COEFFICIENTS[1..] {
        y = y.mul_add(u, *coefficient);
    }
    x * clamped.mul_add(y, 0.5)
}

multiversion! {
    /// Applies [`gelu_of`] to every value in place.
    #[cfg(test)]
    pub(crate) fn gelu(values: &mut [f32]) {
        for value in values {
            *value = gelu_of(*value);
        }
    }
}

multiversion! {
    /// Replaces `scores` by the softmax of `scores * scale`. `scale` must be positive. An empty slice stays empty.
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
        let inverse = 1.0 / reduce(partial, |a, b| a + b);
        for score in scores {
            *score *= inverse;
        }
    }
}

multiversion! {
    /// Running median of width 7: `out[i]` is the median of `values[i..i + 7]`. `values` has at least 6 more elements
    /// than `out`.
    pub fn median_of_7(values: &[f32], out: &mut [f32]) {
        /// Pairs of indices to compare and exchange; these steps move the median to index 3 (Devillard, "Fast median
        /// search", 1998).
        const EXCHANGES: [(usize, usize); 13] = [
            (0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6), (2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4),
        ];
        let count = out.len();
        let values: [&[f32]; 7] = std::array::from_fn(|offset| &values[offset..offset + count]);
        for (index, out) in out.iter_mut().enumerate() {
            let mut window: [f32; 7] = std::array::from_fn(|offset| values[offset][index]);
            for (a, b) in EXCHANGES {
                let (low, high) = (window[a], window[b]);
                (window[a], window[b]) = (if low < high { low } else { high }, larger(high, low));
            }
            *out = window[3];
        }
    }
}

multiversion! {
    /// Returns the log-sum-exp as a pair `(largest, log_sum)`, where `log_sum` is `ln(sum of e^(x - largest))`. The
    /// log-probability of a logit `x` is `x - largest - log_sum`. A logit of minus infinity has probability zero.
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
        (largest, reduce(partial, |a, b| a + b).ln())
    }
}

/// The largest value of a slice without NaN; minus infinity if the slice is empty.
#[inline(always)]
pub(crate) fn maximum(values: &[f32]) -> f32 {
    // Number of independent maxima. With fewer, each comparison would wait for the previous one.
    const WIDE: usize = 4 * LANES;
    let mut largest = [f32::NEG_INFINITY; WIDE];
    let (chunks, rest) = values.as_chunks::<WIDE>();
    for chunk in chunks {
        for lane in 0..WIDE {
            largest[lane] = larger(chunk[lane], largest[lane]);
        }
    }
    for (largest, value) in largest.iter_mut().zip(rest) {
        *largest = larger(*value, *largest);
    }
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for part in largest.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            lanes[lane] = larger(part[lane], lanes[lane]);
        }
    }
    reduce(lanes, larger)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpu, Isa};

    fn reference() -> Cpu {
        Cpu::with(Isa::Reference).unwrap()
    }

    /// Computes erf by its Taylor series in f64. This is accurate enough for arguments below 4.
    fn erf_series(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn gelu_is_within_2e_6_of_the_exact_gelu() {
        for step in -500..=500 {
            let x = step as f32 * 0.01;
            let mut value = [x];
            gelu(reference(), &mut value);
            let expected = f64::from(x) * 0.5 * (1.0 + erf_series(f64::from(x) / std::f64::consts::SQRT_2));
            assert!((f64::from(value[0]) - expected).abs() < 2e-6, "{x}: {} {expected}", value[0]);
        }
    }

    #[test]
    fn exp_is_within_2e_7_relative_error() {
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
    fn a_logit_of_minus_infinity_gets_softmax_weight_zero() {
        let mut weights = [0.0, f32::NEG_INFINITY, 0.0];
        softmax(reference(), &mut weights, 0.125);
        assert_eq!(weights.map(f32::to_bits), [0.5_f32, 0.0, 0.5].map(f32::to_bits));
    }

    #[test]
    fn the_median_is_the_fourth_of_seven_sorted_values() {
        let values: Vec<f32> = (0..300).map(|i| ((i * 7919) % 101) as f32 - 50.0).collect();
        let mut medians = vec![0.0; 294];
        median_of_7(reference(), &values, &mut medians);
        for (window, median) in values.windows(7).zip(medians) {
            let mut sorted = window.to_vec();
            sorted.sort_by(f32::total_cmp);
            assert_eq!(median.to_bits(), sorted[3].to_bits());
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let values: Vec<f32> = (0..1501).map(|i| ((i * 7919) % 1009) as f32 * 0.037 - 18.6).collect();
        let run = |cpu| {
            let (mut a, mut b) = (values.clone(), values.clone());
            gelu(cpu, &mut a);
            softmax(cpu, &mut b, 0.125);
            let (largest, sum) = log_sum_exp(cpu, &values);
            let mut medians = vec![0.0; values.len() - 6];
            median_of_7(cpu, &values, &mut medians);
            a.into_iter().chain(b).chain(medians).chain([largest, sum]).map(f32::to_bits).collect::<Vec<_>>()
        };
        for cpu in Cpu::all() {
            assert_eq!(run(cpu), run(reference()), "{}", cpu.isa());
        }
    }
}
