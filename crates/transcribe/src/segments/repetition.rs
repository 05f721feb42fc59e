//! Texts that say the same over and over.

use std::ops::Range;

/// Where a text begins to repeat itself over and over: the positions of all that follows the first time. `text` are tokens
/// without times.
fn repeated(text: &[u32]) -> Range<usize> {
    /// Repetitions beyond the first, and tokens of them, from which on it is no figure of speech.
    const TIMES: usize = 3;
    const TOKENS: usize = 12;
    let mut longest = 0..0;
    for period in 1..=text.len() / (TIMES + 1) {
        let mut start = period;
        while start < text.len() {
            let run = (start..text.len()).take_while(|&at| text[at] == text[at - period]).count();
            let end = start + run;
            if run >= (TIMES * period).max(TOKENS) && run > longest.len() {
                longest = start..end;
            }
            start = end + 1;
        }
    }
    longest
}

/// Leaves of a phrase that comes over and over only the first, and returns the others. Times, which `is_time` tells from
/// text, are left where they are.
pub(crate) fn remove_repetition(tokens: &mut Vec<u32>, is_time: impl Fn(u32) -> bool) -> Vec<u32> {
    let places: Vec<usize> = (0..tokens.len()).filter(|&at| !is_time(tokens[at])).collect();
    let text: Vec<u32> = places.iter().map(|&at| tokens[at]).collect();
    let again = repeated(&text);
    let out = &places[again.clone()];
    let mut at = 0..;
    tokens.retain(|_| at.next().is_none_or(|at| out.binary_search(&at).is_err()));
    text[again].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_over_and_over_is_found() {
        let mut text = vec![1, 2, 3];
        text.extend([7, 8].repeat(9));
        text.extend([4, 5]);
        assert_eq!(repeated(&text), 5..21);
        assert!(repeated(&[1, 2, 3, 1, 2, 3, 1, 2, 3]).is_empty(), "thrice is a figure of speech");
        assert_eq!(repeated(&[6; 20]), 1..20);
        assert!(repeated(&[]).is_empty());
    }

    #[test]
    fn times_stay_where_they_are() {
        let mut tokens = vec![1000, 5];
        for time in 0..8 {
            tokens.extend([1001 + time, 1001 + time, 6, 7]);
        }
        tokens.push(8);
        let out = remove_repetition(&mut tokens, |token| token >= 1000);
        assert_eq!(out, [6, 7].repeat(7));
        let text: Vec<u32> = tokens.iter().copied().filter(|token| *token < 1000).collect();
        assert_eq!((text, tokens.len()), (vec![5, 6, 7, 8], 17 + 4));
        assert!(remove_repetition(&mut vec![1, 2, 3], |_| false).is_empty());
    }
}
