//! Texts that go in circles: the model says the same over and over and, left alone, would do so to the end of its context.

/// Repetitions of a phrase beyond the first, and tokens of them, after which nothing else is to be expected of a text. However
/// it goes on, it says little for its length.
const TIMES: usize = 5;
const TOKENS: usize = 100;

/// Whether a text, times left out, ends in the same phrase over and over.
pub(super) fn goes_in_circles(text: &[u32]) -> bool {
    (1..=text.len() / (TIMES + 1)).any(|period| {
        let least = TOKENS.max(TIMES * period);
        let again = text.iter().rev().zip(text.iter().rev().skip(period)).take_while(|(a, b)| a == b);
        again.take(least).count() == least
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_repeated_to_the_end_and_for_long_counts() {
        let text = |phrase: u32, times: usize| -> Vec<u32> {
            [500, 501, 502].into_iter().chain((0..times).flat_map(|_| 0..phrase)).collect()
        };
        for (phrase, times) in [(1, 101), (2, 51), (20, 6), (40, 6), (60, 6)] {
            assert!(goes_in_circles(&text(phrase, times)), "{phrase} {times}");
            assert!(!goes_in_circles(&text(phrase, times - 1)), "{phrase} {times}");
            let goes_on = [text(phrase, times), vec![600]].concat();
            assert!(!goes_in_circles(&goes_on), "{phrase} {times}");
        }
        assert!(!goes_in_circles(&[]));
    }
}
