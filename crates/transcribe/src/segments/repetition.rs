//! Finds and removes phrases that a hypothesis repeats over and over.

use std::ops::Range;

/// A phrase counts as a loop only if it is repeated at least this often after its first occurrence. People also say a
/// phrase two or three times.
const MIN_REPETITIONS: usize = 3;

/// A loop (a phrase that is repeated over and over) is removed only if its repetitions together have at least this
/// many tokens.
const MIN_REPEATED_TOKENS: usize = 12;

/// Finds the longest loop (a phrase that is repeated over and over) in `text`. Returns its positions without the
/// first occurrence of the phrase. The range is empty if there is no loop. `text` must contain text tokens only.
fn find_repetition(text: &[u32]) -> Range<usize> {
    let mut longest = 0..0;
    for period in 1..=text.len() / (MIN_REPETITIONS + 1) {
        let mut start = period;
        while start < text.len() {
            let length = (start..text.len()).take_while(|&at| text[at] == text[at - period]).count();
            let end = start + length;
            if length >= (MIN_REPETITIONS * period).max(MIN_REPEATED_TOKENS) && length > longest.len() {
                longest = start..end;
            }
            start = end + 1;
        }
    }
    longest
}

/// Removes the longest loop (a phrase that is repeated over and over), except for the first occurrence of the phrase,
/// and returns the removed text tokens. All timestamp tokens stay; `is_timestamp` tells whether a token is one.
pub(crate) fn remove_repetition(tokens: &mut Vec<u32>, is_timestamp: impl Fn(u32) -> bool) -> Vec<u32> {
    let text_positions: Vec<usize> = (0..tokens.len()).filter(|&at| !is_timestamp(tokens[at])).collect();
    let text: Vec<u32> = text_positions.iter().map(|&at| tokens[at]).collect();
    let repetition = find_repetition(&text);
    let removed = &text_positions[repetition.clone()];
    let mut position = 0..;
    tokens.retain(|_| position.next().is_none_or(|at| removed.binary_search(&at).is_err()));
    text[repetition].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_loop_is_found() {
        let mut text = vec![1, 2, 3];
        text.extend([7, 8].repeat(9));
        text.extend([4, 5]);
        assert_eq!(find_repetition(&text), 5..21);
        assert!(find_repetition(&[1, 2, 3, 1, 2, 3, 1, 2, 3]).is_empty(), "three times is not a loop yet");
        assert_eq!(find_repetition(&[6; 20]), 1..20);
        assert!(find_repetition(&[]).is_empty());
    }

    #[test]
    fn timestamps_stay_when_a_loop_is_removed() {
        let mut tokens = vec![1000, 5];
        for time in 0..8 {
            tokens.extend([1001 + time, 1001 + time, 6, 7]);
        }
        tokens.push(8);
        let removed = remove_repetition(&mut tokens, |token| token >= 1000);
        assert_eq!(removed, [6, 7].repeat(7));
        let text: Vec<u32> = tokens.iter().copied().filter(|token| *token < 1000).collect();
        assert_eq!((text, tokens.len()), (vec![5, 6, 7, 8], 17 + 4));
        assert!(remove_repetition(&mut vec![1, 2, 3], |_| false).is_empty());
    }
}
