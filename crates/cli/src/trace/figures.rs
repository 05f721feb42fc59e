//! Many values in a few figures, and how far two lots of them are apart.

/// What many values look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    pub min: f32,
    pub max: f32,
    pub mean: f64,
    /// The standard deviation.
    pub std: f64,
    /// Values that are infinite or no number; they are in no other figure.
    pub non_finite: usize,
}

impl Figures {
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

/// How far two lots of values are apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Apart {
    /// The root mean square of the differences, in parts of that of the first lot's values. This is what is judged: it is
    /// hardly moved by a window's few states that a rounding error turns over, which are in every long silence.
    pub rms: f32,
    /// The largest difference, in parts of the first lot's largest value.
    pub largest: f32,
}

/// How far two lots of values are apart.
///
/// # Errors
/// Says why that cannot be told: they are not of the same number, or not all finite.
pub fn difference(a: &[f32], b: &[f32]) -> Result<Apart, String> {
    if a.len() != b.len() {
        return Err(format!("{} values against {}", a.len(), b.len()));
    }
    let non_finite = |values: &[f32]| values.iter().filter(|value| !value.is_finite()).count();
    match (non_finite(a), non_finite(b)) {
        (0, 0) => {}
        (of_a, of_b) => return Err(format!("values that are infinite or no number: {of_a} against {of_b}")),
    }
    let differences = || a.iter().zip(b).map(|(a, b)| a - b);
    // Nothing is no part of nothing.
    let share = |part: f64, whole: f64| if part == 0.0 { 0.0 } else { (part / whole.max(f64::MIN_POSITIVE)) as f32 };
    Ok(Apart {
        rms: share(norm(differences()), norm(a.iter().copied())),
        largest: share(largest(differences()), largest(a.iter().copied())),
    })
}

/// How far two lots of logits are apart: as [`difference`], of each lot without its mean. A constant that is added to all
/// logits changes no probability.
pub fn logits_difference(a: &[f32], b: &[f32]) -> Result<Apart, String> {
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
    fn values_in_figures() {
        let figures = Figures::of(&[1.0, 3.0, f32::NAN, -1.0, f32::NEG_INFINITY]);
        assert_eq!((figures.min, figures.max, figures.non_finite), (-1.0, 3.0, 2));
        assert!((figures.mean - 1.0).abs() < 1e-12 && (figures.std - (8.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn differences_are_parts_of_the_first_side() {
        assert_eq!(difference(&[3.0, -4.0], &[3.0, -3.0]), Ok(Apart { rms: 0.2, largest: 0.25 }));
        assert_eq!(logits_difference(&[1.0, 2.0, 3.0], &[5.0, 6.0, 7.0]), Ok(Apart { rms: 0.0, largest: 0.0 }));
        assert_eq!(difference(&[0.0], &[0.0]), Ok(Apart { rms: 0.0, largest: 0.0 }));
        assert!(difference(&[0.0], &[1e-3]).unwrap().rms > 1.0);
        assert!(difference(&[1.0], &[1.0, 2.0]).unwrap_err().contains("1 values against 2"));
        assert!(difference(&[1.0], &[f32::NAN]).unwrap_err().contains("0 against 1"));
    }
}
