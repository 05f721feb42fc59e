//! Detects endless repetition: the model repeats a phrase and, if it is not stopped, continues until no text position
//! is left.

/// A phrase counts as a loop only if it is repeated at least this often. Its first occurrence is not a repetition.
const MIN_REPETITIONS: usize = 5;
/// The repetitions count as a loop only if they have at least this many tokens together. A hypothesis with this much
/// repetition is useless, whatever follows.
const MIN_REPEATED_TOKENS: usize = 100;

/// Whether `text_tokens` ends in a phrase that is repeated many times. The caller must leave out timestamp tokens.
pub(super) fn ends_in_loop(text_tokens: &[u32]) -> bool {
    (1..=text_tokens.len() / (MIN_REPETITIONS + 1)).any(|period| {
        let required = MIN_REPEATED_TOKENS.max(MIN_REPETITIONS * period);
        let backwards = text_tokens.iter().rev();
        let repeated = backwards.clone().zip(backwards.skip(period)).take_while(|(a, b)| a == b);
        repeated.take(required).count() == required
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_repetitions_at_the_end_are_a_loop() {
        let repeat = |phrase_len: u32, times: usize| -> Vec<u32> {
            [500, 501, 502].into_iter().chain((0..times).flat_map(|_| 0..phrase_len)).collect()
        };
        for (phrase_len, times) in [(1, 101), (2, 51), (20, 6), (40, 6), (60, 6)] {
            assert!(ends_in_loop(&repeat(phrase_len, times)), "{phrase_len} {times}");
            assert!(!ends_in_loop(&repeat(phrase_len, times - 1)), "{phrase_len} {times}");
            let other_end = [repeat(phrase_len, times), vec![600]].concat();
            assert!(!ends_in_loop(&other_end), "{phrase_len} {times}");
        }
        assert!(!ends_in_loop(&[]));
    }
}
