//! Statistics of many values, and the difference between two sets of values.

/// Statistics of many values, such as their mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    pub min: f32,
    pub max: f32,
    pub mean: f64,
    /// The standard deviation.
    pub std: f64,
    /// The number of NaN and infinite values. The other statistics ignore these values.
    pub non_finite: usize,
}

impl Statistics {
    pub fn of(values: &[f32]) -> Self {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let count = finite().count().max(1) as f64;
        let mean = finite().map(f64::from).sum::<f64>() / count;
        let variance = finite().map(|value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
        Self {
            min: finite().fold(f32::INFINITY, f32::min),
            max: finite().fold(f32::NEG_INFINITY, f32::max),
            mean,
            std: variance.sqrt(),
            non_finite: values.len() - finite().count(),
        }
    }
}

/// The difference between two sets of values, relative to the first set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The root mean square of the differences, divided by the root mean square of the first set.
    ///
    /// This number is compared with the tolerance, because rounding errors hardly change it. Rounding errors do
    /// change the largest difference: in every long silence, they cause large differences in a few encoder states.
    pub rms: f32,
    /// The largest absolute difference, divided by the largest absolute value of the first set.
    pub largest: f32,
}

/// The difference between two sets of values.
///
/// # Errors
/// The sets have different lengths, or contain values that are not finite.
pub fn difference(a: &[f32], b: &[f32]) -> Result<Difference, String> {
    if a.len() != b.len() {
        return Err(format!("{} values against {}", a.len(), b.len()));
    }
    let non_finite = |values: &[f32]| values.iter().filter(|value| !value.is_finite()).count();
    match (non_finite(a), non_finite(b)) {
        (0, 0) => {}
        (of_a, of_b) => return Err(format!("NaN or infinite values: {of_a} against {of_b}")),
    }
    let differences = || a.iter().zip(b).map(|(a, b)| a - b);
    // If the values do not differ, the ratio is 0, even if all values are 0. `MIN_POSITIVE` avoids a division by 0.
    let ratio = |part: f64, whole: f64| if part == 0.0 { 0.0 } else { (part / whole.max(f64::MIN_POSITIVE)) as f32 };
    Ok(Difference {
        rms: ratio(norm(differences()), norm(a.iter().copied())),
        largest: ratio(largest(differences()), largest(a.iter().copied())),
    })
}

/// The difference between two sets of logits. The mean of each set is subtracted first.
///
/// Adding a constant to all logits does not change their softmax, so such a constant does not count as a difference.
pub fn logits_difference(a: &[f32], b: &[f32]) -> Result<Difference, String> {
    let centred = |values: &[f32]| {
        let mean = values.iter().copied().map(f64::from).sum::<f64>() / values.len().max(1) as f64;
        values.iter().map(|value| value - mean as f32).collect::<Vec<_>>()
    };
    difference(&centred(a), &centred(b))
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

fn largest(values: impl Iterator<Item = f32>) -> f64 {
    values.fold(0.0, |largest, value| f64::from(value).abs().max(largest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_ignore_values_that_are_not_finite() {
        let statistics = Statistics::of(&[1.0, 3.0, f32::NAN, -1.0, f32::NEG_INFINITY]);
        assert_eq!((statistics.min, statistics.max, statistics.non_finite), (-1.0, 3.0, 2));
        assert!((statistics.mean - 1.0).abs() < 1e-12 && (statistics.std - (8.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn differences_are_relative_to_the_first_set() {
        assert_eq!(difference(&[3.0, -4.0], &[3.0, -3.0]), Ok(Difference { rms: 0.2, largest: 0.25 }));
        assert_eq!(logits_difference(&[1.0, 2.0, 3.0], &[5.0, 6.0, 7.0]), Ok(Difference { rms: 0.0, largest: 0.0 }));
        assert_eq!(difference(&[0.0], &[0.0]), Ok(Difference { rms: 0.0, largest: 0.0 }));
        assert!(difference(&[0.0], &[1e-3]).unwrap().rms > 1.0);
        assert!(difference(&[1.0], &[1.0, 2.0]).unwrap_err().contains("1 values against 2"));
        assert!(difference(&[1.0], &[f32::NAN]).unwrap_err().contains("0 against 1"));
    }
}
