//! Turns text into tokens with the byte-pair encoding of GPT-2, which merges adjacent parts of a word into longer
//! tokens.
//!
//! In these vocabularies, the id of a token is also the rank of the merge that creates the token, so no list of
//! merges is needed. Of all adjacent pairs that form a token, the pair with the lowest id is merged first.
//! `tiktoken`, which openai-whisper uses, does the same.

use std::collections::HashMap;

/// A byte-pair encoder.
#[derive(Debug)]
pub(super) struct Bpe {
    /// For the bytes of each text token, the id of the token.
    ids: HashMap<Vec<u8>, u32>,
}

impl Bpe {
    /// Creates an encoder for the given text tokens, each with its id and bytes.
    pub(super) fn new(tokens: impl Iterator<Item = (u32, Vec<u8>)>) -> Self {
        let mut ids = HashMap::new();
        for (id, bytes) in tokens {
            ids.entry(bytes).or_insert(id);
        }
        Self { ids }
    }

    /// Converts a text to tokens. Bytes for which there is no token are left out.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        words(text).into_iter().flat_map(|word| self.encode_word(word.as_bytes())).collect()
    }

    fn encode_word(&self, word: &[u8]) -> Vec<u32> {
        // The byte positions in the word at which its parts start, followed by the end of the final part.
        let mut bounds: Vec<usize> = (0..=word.len()).collect();
        let id = |from: usize, to: usize| self.ids.get(&word[from..to]).copied();
        while let Some((_, at)) =
            (1..bounds.len() - 1).filter_map(|at| Some((id(bounds[at - 1], bounds[at + 1])?, at))).min()
        {
            bounds.remove(at);
        }
        bounds.windows(2).filter_map(|part| id(part[0], part[1])).collect()
    }
}

/// Splits a text into parts that are encoded independently: runs of letters, of digits and of other characters, each
/// with an optional space before it; English contractions; and white space.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (word, after) = rest.split_at(word_length(rest));
        words.push(word);
        rest = after;
    }
    words
}

/// Length in bytes of the first part of a text that GPT-2's pattern matches: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|
/// ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
fn word_length(text: &str) -> usize {
    const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    if let Some(contraction) = CONTRACTIONS.iter().find(|contraction| text.starts_with(**contraction)) {
        return contraction.len();
    }
    let body = text.strip_prefix(' ').unwrap_or(text);
    if let Some(first) = body.chars().next().filter(|first| !first.is_whitespace()) {
        let kind = Kind::of(first);
        let end = body.find(|c| Kind::of(c) != kind).unwrap_or(body.len());
        return text.len() - body.len() + end;
    }
    // If a word follows the blanks, the last blank belongs to that word.
    let blanks = text.find(|c: char| !c.is_whitespace()).unwrap_or(text.len());
    let last = text[..blanks].chars().next_back().map_or(0, char::len_utf8);
    if blanks < text.len() && blanks > last { blanks - last } else { blanks }
}

#[derive(PartialEq, Eq)]
enum Kind {
    Letter,
    Number,
    Blank,
    Other,
}

impl Kind {
    fn of(c: char) -> Self {
        match c {
            _ if c.is_whitespace() => Self::Blank,
            _ if c.is_numeric() => Self::Number,
            _ if c.is_alphabetic() => Self::Letter,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_by_the_pattern_of_gpt2() {
        assert_eq!(words(" Don't  panic,\n\n42 times"), [" Don", "'t", " ", " panic", ",", "\n", "\n", "42", " times"]);
        assert_eq!(words("a  "), ["a", "  "]);
        assert_eq!(words(" ¿Qué? …x"), [" ¿", "Qué", "?", " …", "x"]);
        assert!(words("").is_empty());
    }

    #[test]
    fn the_pair_with_the_lowest_id_is_merged_first() {
        let tokens = ["a", "b", "c", "bc", "ab", "abc", " a"];
        let bpe = Bpe::new((0..).zip(tokens.iter().map(|token| token.as_bytes().to_vec())));
        assert_eq!(bpe.encode("abc"), [5]);
        assert_eq!(bpe.encode("abbc"), [4, 3]);
        assert_eq!(bpe.encode("ab abd"), [4, 4]);
        assert_eq!(bpe.encode(" a"), [6]);
        assert!(bpe.encode("").is_empty());
    }
}
