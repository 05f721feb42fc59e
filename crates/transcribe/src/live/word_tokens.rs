//! Assigns the tokens of a hypothesis to its words.

use amanuensis_engine::Vocabulary;

use crate::Word;

/// A word of a hypothesis with its tokens.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DecodedWord {
    pub(super) word: Word,
    pub(super) tokens: Vec<u32>,
}

/// Returns the words after the first `n_prefix` tokens of a hypothesis, each with its own tokens. `tokens` are all
/// text tokens of the hypothesis. `words` are all words of the hypothesis; joined without separators, they are the
/// text of `tokens`.
pub(super) fn words_after_prefix(
    n_prefix: usize,
    words: Vec<Word>,
    tokens: &[u32],
    vocabulary: &Vocabulary,
) -> Vec<DecodedWord> {
    let mut bytes = Vec::new();
    let n_bytes = |token: &u32| {
        bytes.clear();
        vocabulary.extend_bytes(*token, &mut bytes);
        bytes.len()
    };
    let lengths: Vec<usize> = tokens.iter().map(n_bytes).collect();
    divide_tokens(n_prefix, words, tokens, &lengths)
}

/// Implements [`words_after_prefix`]. `lengths` are the lengths of the tokens in bytes.
fn divide_tokens(n_prefix: usize, words: Vec<Word>, tokens: &[u32], lengths: &[usize]) -> Vec<DecodedWord> {
    // The byte position at which each token ends.
    let ends: Vec<usize> = lengths.iter().scan(0, |end, length| Some((*end += length, *end).1)).collect();
    let n_prefix = n_prefix.min(tokens.len());
    let prefix_end = n_prefix.checked_sub(1).map_or(0, |last| ends[last]);
    let mut decoded: Vec<DecodedWord> = Vec::new();
    // `start` is the byte position at which the next word starts, and `first` is the index of the first token of that
    // word. `is_complete` is false if the most recent word in `decoded` ends in the middle of a token, so that its
    // tokens are not assigned yet.
    let (mut start, mut first, mut is_complete) = (0, n_prefix, true);
    for word in words {
        let end = start + word.word.len();
        if end > prefix_end {
            // If the prefix ends within this word, only the part of the word after the prefix is kept.
            let after_prefix = word.word.get(prefix_end.saturating_sub(start)..).unwrap_or(&word.word).to_owned();
            let word = Word { word: after_prefix, ..word };
            match decoded.last_mut().filter(|_| !is_complete) {
                Some(incomplete) => {
                    incomplete.word.word += &word.word;
                    incomplete.word.end = word.end;
                }
                None => decoded.push(DecodedWord { word, tokens: Vec::new() }),
            }
            // Invalid UTF-8 in a word was replaced by U+FFFD, so the word may have another length than its tokens. If
            // the word then ends in the middle of a token, it is joined with the next word.
            let end_token = ends.partition_point(|token_end| *token_end <= end);
            is_complete = end_token > first && ends[end_token - 1] == end;
            if let Some(last) = decoded.last_mut().filter(|_| is_complete) {
                last.tokens.extend_from_slice(&tokens[first..end_token]);
                first = end_token;
            }
        }
        start = end;
    }
    if let Some(last) = decoded.last_mut().filter(|_| first < tokens.len()) {
        last.tokens.extend_from_slice(&tokens[first..]);
    }
    decoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn word(text: &str) -> Word {
        Word { word: text.to_owned(), start: 0.0, end: 0.0, probability: 1.0 }
    }

    #[test]
    fn each_word_gets_its_tokens() {
        let words = || vec![word(" country,"), word(" can"), word("\u{fffd}"), word(" do")];
        // The tokens are " country", ",", " c", "an", an incomplete UTF-8 character, and " do". The first token is
        // the prefix.
        let (tokens, lengths) = ([1, 2, 3, 4, 5, 6], [8, 1, 2, 2, 1, 3]);
        let decoded = divide_tokens(1, words(), &tokens, &lengths);
        let decoded: Vec<_> = decoded.iter().map(|word| (word.word.word.as_str(), word.tokens.as_slice())).collect();
        assert_eq!(decoded, [(",", &[2][..]), (" can", &[3, 4]), ("\u{fffd} do", &[5, 6])]);
        // If all tokens belong to the prefix, one word is left, because U+FFFD has more bytes than the token that it
        // replaces.
        assert_eq!(divide_tokens(9, words(), &tokens, &lengths[..]).len(), 1);
    }

    proptest! {
        #[test]
        fn every_token_after_the_prefix_belongs_to_a_word(
            lengths in prop::collection::vec(0..4_usize, 1..20),
            n_prefix in 0..20_usize,
        ) {
            let tokens: Vec<u32> = (0..lengths.len() as u32).collect();
            let total = lengths.iter().sum::<usize>();
            let words: Vec<Word> = (0..total).step_by(3).map(|at| word(&"x".repeat(3.min(total - at)))).collect();
            let decoded = divide_tokens(n_prefix, words, &tokens, &lengths);
            let of_words: Vec<u32> = decoded.iter().flat_map(|word| word.tokens.iter().copied()).collect();
            if !decoded.is_empty() {
                prop_assert_eq!(of_words, &tokens[n_prefix.min(tokens.len())..]);
            }
        }
    }
}
