//! From tokens to words.
//!
//! The rules are those of `openai-whisper` (`whisper/tokenizer.py`, `split_to_word_tokens`, and `whisper/timing.py`,
//! `merge_punctuations`), but no byte is lost: the texts of all words joined are the text of all tokens.

use std::ops::Range;

/// Punctuation that belongs to the word after it, and to the word before it.
const PREPENDED: &str = "\"'“¿([{-";
const APPENDED: &str = "\"'.。,，!！?？:：”)]}、";

/// The punctuation of ASCII, as Python has it.
const ASCII_PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// Languages that put no spaces between words: there, a character is a word.
const WITHOUT_SPACES: [&str; 6] = ["zh", "ja", "th", "lo", "my", "yue"];

/// A word and the tokens that it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// The word with the punctuation around it, and most often a space in front.
    pub(super) text: String,
    /// The tokens of the word itself, without the punctuation around it.
    pub(super) tokens: Range<usize>,
}

/// The words of tokens, given as their bytes.
pub(super) fn words(tokens: &[Vec<u8>], language: &str) -> Vec<Part> {
    let characters = characters(tokens);
    let words = if WITHOUT_SPACES.contains(&language) { characters } else { join_by_spaces(characters) };
    append(prepend(words))
}

/// The shortest runs of tokens that are whole characters. What is no UTF-8 becomes U+FFFD, as in the text as a whole.
fn characters(tokens: &[Vec<u8>]) -> Vec<Part> {
    let bytes = tokens.concat();
    // Where a character, or what is none, ends.
    let mut is_end = vec![false; bytes.len() + 1];
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            at += character.len_utf8();
            is_end[at] = true;
        }
        at += chunk.invalid().len();
        is_end[at] = true;
    }
    let mut parts = Vec::new();
    let (mut first, mut from, mut to) = (0, 0, 0);
    for (index, token) in tokens.iter().enumerate() {
        to += token.len();
        if is_end[to] && to > from {
            let text = String::from_utf8_lossy(&bytes[from..to]).into_owned();
            parts.push(Part { text, tokens: first..index + 1 });
            (first, from) = (index + 1, to);
        }
    }
    parts
}

/// A word begins with a space; punctuation is a word of its own.
fn join_by_spaces(parts: Vec<Part>) -> Vec<Part> {
    let mut words: Vec<Part> = Vec::new();
    for part in parts {
        let is_punctuation = ASCII_PUNCTUATION.contains(part.text.trim());
        match words.last_mut() {
            Some(word) if !part.text.starts_with(' ') && !is_punctuation => {
                word.text.push_str(&part.text);
                word.tokens.end = part.tokens.end;
            }
            _ => words.push(part),
        }
    }
    words
}

/// Joins opening punctuation, and spaces by themselves, with the word that follows.
fn prepend(parts: Vec<Part>) -> Vec<Part> {
    let mut words: Vec<Part> = Vec::new();
    let mut opening: Option<Part> = None;
    for mut part in parts {
        if let Some(before) = opening.take() {
            part.text.insert_str(0, &before.text);
        }
        let trimmed = part.text.trim();
        if trimmed.is_empty() || part.text.starts_with(' ') && is_one_of(trimmed, PREPENDED) {
            opening = Some(part);
        } else {
            words.push(part);
        }
    }
    match (opening, words.last_mut()) {
        (Some(rest), Some(word)) if rest.text.trim().is_empty() => word.text.push_str(&rest.text),
        (Some(rest), _) => words.push(rest),
        (None, _) => {}
    }
    words
}

/// Joins closing punctuation with the word before it.
fn append(parts: Vec<Part>) -> Vec<Part> {
    let mut words: Vec<Part> = Vec::new();
    for part in parts {
        match words.last_mut() {
            Some(word) if !word.text.ends_with(' ') && is_one_of(&part.text, APPENDED) => {
                word.text.push_str(&part.text);
            }
            _ => words.push(part),
        }
    }
    words
}

/// Whether every character of a text, of which there are some, is one of these.
fn is_one_of(text: &str, characters: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| characters.contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(tokens: &[&str], language: &str) -> Vec<(String, Range<usize>)> {
        let tokens: Vec<Vec<u8>> = tokens.iter().map(|token| token.as_bytes().to_vec()).collect();
        words(&tokens, language).into_iter().map(|part| (part.text, part.tokens)).collect()
    }

    fn texts(tokens: &[&str], language: &str) -> Vec<String> {
        split(tokens, language).into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn words_begin_with_spaces_and_keep_their_punctuation() {
        let found =
            split(&[" He", " said", ",", " \"", "co", "unt", " (", "10", "!", "\"", ")", " -", "no", "."], "en");
        let expected = [(" He", 0..1), (" said,", 1..2), (" \"count", 3..6), (" (10!\")", 6..8), (" -no.", 11..13)];
        assert_eq!(found, expected.map(|(text, tokens)| (text.to_owned(), tokens)));
        assert_eq!(texts(&["It", "'s", " well", "-", "known", "."], "en"), ["It's", " well", "-known."]);
    }

    #[test]
    fn without_spaces_a_character_is_a_word() {
        assert_eq!(texts(&["你", "好", "，", "世界", "。"], "zh"), ["你", "好，", "世界。"]);
        assert_eq!(texts(&["你", "好"], "en"), ["你好"]);
    }

    #[test]
    fn characters_in_several_tokens_stay_whole() {
        let tokens: [&[u8]; 6] = [b" a", b"\xe2\x82", b"\xac", b"\xff", b" \xe2", b"b"];
        let tokens: Vec<Vec<u8>> = tokens.iter().map(|token| token.to_vec()).collect();
        let parts: Vec<_> = characters(&tokens).into_iter().map(|part| (part.text, part.tokens)).collect();
        let expected = [(" a", 0..1), ("€", 1..3), ("\u{fffd}", 3..4), (" \u{fffd}", 4..5), ("b", 5..6)];
        assert_eq!(parts, expected.map(|(text, tokens)| (text.to_owned(), tokens)));
    }

    #[test]
    fn spaces_and_punctuation_by_themselves_are_kept() {
        assert_eq!(texts(&[" ", " ", "a", " "], "en"), ["  a "]);
        assert_eq!(texts(&[" \"", " ("], "en"), [" \" ("]);
        assert_eq!(texts(&[","], "en"), [","]);
        assert_eq!(texts(&[" "], "en"), [" "]);
        assert!(texts(&[], "en").is_empty());
    }
}
