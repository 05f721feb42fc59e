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

/// The largest difference between two lots of values, in parts of the largest value of the first.
///
/// # Errors
/// Says why there is none: they are not of the same number, or not all finite.
pub fn difference(a: &[f32], b: &[f32]) -> Result<f32, String> {
    if a.len() != b.len() {
        return Err(format!("{} values against {}", a.len(), b.len()));
    }
    let non_finite = |values: &[f32]| values.iter().filter(|value| !value.is_finite()).count();
    match (non_finite(a), non_finite(b)) {
        (0, 0) => {}
        (of_a, of_b) => return Err(format!("values that are infinite or no number: {of_a} against {of_b}")),
    }
    let largest = a.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let apart = a.iter().zip(b).fold(0.0_f32, |apart, (a, b)| apart.max((a - b).abs()));
    Ok(if apart == 0.0 { 0.0 } else { apart / largest.max(f32::MIN_POSITIVE) })
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
    fn differences_are_parts_of_the_largest() {
        assert_eq!(difference(&[1.0, -4.0], &[1.5, -4.0]), Ok(0.125));
        assert_eq!(difference(&[0.0], &[0.0]), Ok(0.0));
        assert!(difference(&[0.0], &[1e-3]).unwrap() > 1.0);
        assert!(difference(&[1.0], &[1.0, 2.0]).unwrap_err().contains("1 values against 2"));
        assert!(difference(&[1.0], &[f32::NAN]).unwrap_err().contains("0 against 1"));
    }
}
