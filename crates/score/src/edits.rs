//! The edit distance (Levenshtein) of two sequences, with the number of edits of each kind.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// The number of differences between a transcript and its reference, counted in units: words or characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Errors {
    /// Number of units of the reference that were replaced by other units.
    pub substitutions: usize,
    /// Number of units of the reference that are missing in the transcript.
    pub deletions: usize,
    /// Number of units of the transcript that are not in the reference.
    pub insertions: usize,
    /// The number of units of the reference.
    pub units: usize,
}

impl Errors {
    /// The total number of errors.
    pub fn total(&self) -> usize {
        self.substitutions + self.deletions + self.insertions
    }

    /// The error rate: errors divided by units of the reference, in percent. `None` if the reference has no unit.
    pub fn percent(&self) -> Option<f64> {
        (self.units > 0).then(|| 100.0 * self.total() as f64 / self.units as f64)
    }
}

impl Add for Errors {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            substitutions: self.substitutions + other.substitutions,
            deletions: self.deletions + other.deletions,
            insertions: self.insertions + other.insertions,
            units: self.units + other.units,
        }
    }
}

impl AddAssign for Errors {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Errors {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

/// Counts the errors of `hypothesis` compared with `reference`: the smallest possible number (Levenshtein distance).
/// Among alignments with that number, substitutions are preferred to deletions, and deletions to insertions.
pub fn align<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> Errors {
    let units = reference.len();
    let (reference, hypothesis) = without_common_ends(reference, hypothesis);
    // `row[j]` holds the errors of the first `j` units of the hypothesis, compared with the units of the reference
    // that were processed so far.
    let mut row: Vec<Errors> = Vec::with_capacity(hypothesis.len() + 1);
    row.extend((0..=hypothesis.len()).map(|j| Errors { insertions: j, ..Errors::default() }));
    for unit in reference {
        let mut diagonal = row[0];
        row[0].deletions += 1;
        for (j, recognised) in hypothesis.iter().enumerate() {
            let mut best = diagonal;
            best.substitutions += usize::from(unit != recognised);
            let (left, above) = (row[j], row[j + 1]);
            if above.total() + 1 < best.total() {
                best = above;
                best.deletions += 1;
            }
            if left.total() + 1 < best.total() {
                best = left;
                best.insertions += 1;
            }
            diagonal = above;
            row[j + 1] = best;
        }
    }
    Errors { units, ..row[hypothesis.len()] }
}

/// Removes the common prefix and the common suffix of two sequences.
fn without_common_ends<'a, T: PartialEq>(a: &'a [T], b: &'a [T]) -> (&'a [T], &'a [T]) {
    let head = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[head..], &b[head..]);
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    (&a[..a.len() - tail], &b[..b.len() - tail])
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The Levenshtein distance, computed with the textbook matrix.
    fn distance(a: &[u8], b: &[u8]) -> usize {
        let mut cost = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 0..=a.len() {
            for j in 0..=b.len() {
                cost[i][j] = match (i, j) {
                    (i, 0) => i,
                    (0, j) => j,
                    (i, j) => {
                        let substitution = cost[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                        substitution.min(cost[i - 1][j] + 1).min(cost[i][j - 1] + 1)
                    }
                };
            }
        }
        cost[a.len()][b.len()]
    }

    #[test]
    fn each_kind_of_error_is_counted() {
        let errors = |reference: &str, hypothesis: &str| {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let errors = align(&words(reference), &words(hypothesis));
            (errors.substitutions, errors.deletions, errors.insertions, errors.units)
        };
        assert_eq!(errors("a b c", "a b c"), (0, 0, 0, 3));
        assert_eq!(errors("a b c", "a x c"), (1, 0, 0, 3));
        assert_eq!(errors("a b c", "a c"), (0, 1, 0, 3));
        assert_eq!(errors("a c", "a b c"), (0, 0, 1, 2));
        assert_eq!(errors("a b", ""), (0, 2, 0, 2));
        assert_eq!(errors("", "a b"), (0, 0, 2, 0));
    }

    #[test]
    fn the_rate_is_relative_to_the_reference() {
        let errors = align(&['a', 'b'], &['x', 'y', 'z', 'u']);
        assert_eq!(errors.percent(), Some(200.0));
        assert_eq!(align(&[], &['x']).percent(), None);
        let sum: Errors = [errors, align(&['a', 'b'], &['a', 'b'])].into_iter().sum();
        assert_eq!((sum.total(), sum.units, sum.percent()), (4, 4, Some(100.0)));
    }

    proptest! {
        #[test]
        fn the_number_of_errors_is_the_levenshtein_distance(a in vec(0_u8..4, 0..24), b in vec(0_u8..4, 0..24)) {
            let errors = align(&a, &b);
            prop_assert_eq!(errors.total(), distance(&a, &b));
            prop_assert_eq!(errors.units, a.len());
            // The length of the hypothesis equals that of the reference plus insertions minus deletions.
            prop_assert_eq!(a.len() + errors.insertions, b.len() + errors.deletions);
        }
    }
}
