//! Text to tokens: the byte-pair encoding of GPT-2, whose merges a vocabulary tells by its order.
//!
//! In these vocabularies a token's id is the rank of the merge that makes it, so of all neighbours that together are a
//! token, those of the lowest id are joined first (as `tiktoken` does it, which the original implementation uses).

use std::collections::HashMap;

/// Text tokens by their bytes.
#[derive(Debug)]
pub(crate) struct Encoder {
    ids: HashMap<Vec<u8>, u32>,
}

impl Encoder {
    /// Of tokens with their bytes.
    pub(crate) fn new(tokens: impl Iterator<Item = (u32, Vec<u8>)>) -> Self {
        let mut ids = HashMap::new();
        for (id, bytes) in tokens {
            ids.entry(bytes).or_insert(id);
        }
        Self { ids }
    }

    /// The tokens of a text. What the vocabulary has no token for, not even for its bytes, is left out.
    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        words(text).into_iter().flat_map(|word| self.encode_word(word.as_bytes())).collect()
    }

    fn encode_word(&self, word: &[u8]) -> Vec<u32> {
        // Where each part begins, and the end of the last.
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

/// What is encoded by itself: runs of letters, of digits and of other signs, each with a space before it, English
/// contractions, and white space.
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

/// Bytes of the word that a text begins with, as the pattern
/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` has it.
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
    // The last of several blanks belongs to the word behind it.
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
    fn words_are_split_as_by_the_pattern() {
        assert_eq!(words(" Don't  panic,\n\n42 times"), [" Don", "'t", " ", " panic", ",", "\n", "\n", "42", " times"]);
        assert_eq!(words("a  "), ["a", "  "]);
        assert_eq!(words(" ¿Qué? …x"), [" ¿", "Qué", "?", " …", "x"]);
        assert!(words("").is_empty());
    }

    #[test]
    fn the_lowest_id_is_joined_first() {
        let tokens = ["a", "b", "c", "bc", "ab", "abc", " a"];
        let encoder = Encoder::new((0..).zip(tokens.iter().map(|token| token.as_bytes().to_vec())));
        assert_eq!(encoder.encode("abc"), [5]);
        assert_eq!(encoder.encode("abbc"), [4, 3]);
        assert_eq!(encoder.encode("ab abd"), [4, 4]);
        assert_eq!(encoder.encode(" a"), [6]);
        assert!(encoder.encode("").is_empty());
    }
}
