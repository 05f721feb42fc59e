//! Joins tokens to words.
//!
//! The rules are those of `openai-whisper` (`whisper/tokenizer.py`, `split_to_word_tokens`, and `whisper/timing.py`,
//! `merge_punctuations`), with one difference: no byte is lost, so all words joined are the text of all tokens.

use std::ops::Range;

/// Punctuation that ends a sentence.
pub(crate) const SENTENCE_END: [char; 6] = ['.', '。', '!', '！', '?', '？'];

/// Punctuation that is joined to the word after it.
const PREPENDED: &str = "\"'“¿([{-";
/// Punctuation that is joined to the word before it.
const APPENDED: &str = "\"'.。,，!！?？:：”)]}、";

/// The ASCII punctuation of Python's `string.punctuation`.
const ASCII_PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// Languages that are written without spaces between words. In these languages, each character is treated as a word.
const WITHOUT_SPACES: [&str; 6] = ["zh", "ja", "th", "lo", "my", "yue"];

/// A word and its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SplitWord {
    /// The word with its punctuation; most words begin with a space.
    pub(super) text: String,
    /// The indices of the tokens of the word, without the tokens of punctuation that was joined to it.
    pub(super) tokens: Range<usize>,
}

/// Splits a text into words. `tokens` holds the bytes of each token. `language` is a language code.
pub(super) fn split_words(tokens: &[Vec<u8>], language: &str) -> Vec<SplitWord> {
    let characters = whole_characters(tokens);
    let words = if WITHOUT_SPACES.contains(&language) { characters } else { join_by_spaces(characters) };
    append_closing(prepend_opening(words))
}

/// Groups tokens so that each group contains only whole characters and is as short as possible. A character may be
/// spread over several tokens. Invalid UTF-8 becomes U+FFFD.
fn whole_characters(tokens: &[Vec<u8>]) -> Vec<SplitWord> {
    let bytes = tokens.concat();
    // The byte positions at which a character or a run of invalid bytes ends.
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
            parts.push(SplitWord { text, tokens: first..index + 1 });
            (first, from) = (index + 1, to);
        }
    }
    parts
}

/// Joins groups of characters to words. A space begins a new word, and a group that is punctuation becomes a separate
/// word.
fn join_by_spaces(parts: Vec<SplitWord>) -> Vec<SplitWord> {
    let mut words: Vec<SplitWord> = Vec::new();
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

/// Joins opening punctuation, and parts that contain only spaces, to the next word.
fn prepend_opening(parts: Vec<SplitWord>) -> Vec<SplitWord> {
    let mut words: Vec<SplitWord> = Vec::new();
    let mut opening: Option<SplitWord> = None;
    for mut part in parts {
        if let Some(before) = opening.take() {
            part.text.insert_str(0, &before.text);
        }
        let trimmed = part.text.trim();
        if trimmed.is_empty() || part.text.starts_with(' ') && consists_of(trimmed, PREPENDED) {
            opening = Some(part);
        } else {
            words.push(part);
        }
    }
    match (opening, words.last_mut()) {
        (Some(unused), Some(word)) if unused.text.trim().is_empty() => word.text.push_str(&unused.text),
        (Some(unused), _) => words.push(unused),
        (None, _) => {}
    }
    words
}

/// Joins closing punctuation to the previous word.
fn append_closing(parts: Vec<SplitWord>) -> Vec<SplitWord> {
    let mut words: Vec<SplitWord> = Vec::new();
    for part in parts {
        match words.last_mut() {
            Some(word) if !word.text.ends_with(' ') && consists_of(&part.text, APPENDED) => {
                word.text.push_str(&part.text);
            }
            _ => words.push(part),
        }
    }
    words
}

/// Whether `text` is not empty and contains only characters of `characters`.
fn consists_of(text: &str, characters: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| characters.contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(tokens: &[&str], language: &str) -> Vec<(String, Range<usize>)> {
        let tokens: Vec<Vec<u8>> = tokens.iter().map(|token| token.as_bytes().to_vec()).collect();
        split_words(&tokens, language).into_iter().map(|part| (part.text, part.tokens)).collect()
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
    fn a_character_is_a_word_in_languages_without_spaces() {
        assert_eq!(texts(&["你", "好", "，", "世界", "。"], "zh"), ["你", "好，", "世界。"]);
        assert_eq!(texts(&["你", "好"], "en"), ["你好"]);
    }

    #[test]
    fn characters_that_span_tokens_stay_whole() {
        let tokens: [&[u8]; 6] = [b" a", b"\xe2\x82", b"\xac", b"\xff", b" \xe2", b"b"];
        let tokens: Vec<Vec<u8>> = tokens.iter().map(|token| token.to_vec()).collect();
        let parts: Vec<_> = whole_characters(&tokens).into_iter().map(|part| (part.text, part.tokens)).collect();
        let expected = [(" a", 0..1), ("€", 1..3), ("\u{fffd}", 3..4), (" \u{fffd}", 4..5), ("b", 5..6)];
        assert_eq!(parts, expected.map(|(text, tokens)| (text.to_owned(), tokens)));
    }

    #[test]
    fn spaces_and_punctuation_without_a_word_are_kept() {
        assert_eq!(texts(&[" ", " ", "a", " "], "en"), ["  a "]);
        assert_eq!(texts(&[" \"", " ("], "en"), [" \" ("]);
        assert_eq!(texts(&[","], "en"), [","]);
        assert_eq!(texts(&[" "], "en"), [" "]);
        assert!(texts(&[], "en").is_empty());
    }
}
