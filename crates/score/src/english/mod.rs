//! Whisper's normaliser for English: contractions, numbers and spellings.

mod amounts;
mod contractions;
mod number_words;
mod numbers;
mod spellings;
mod value;

use crate::characters::{
    is_digit, is_space, is_word, with_single_spaces, without_brackets, without_symbols_and_diacritics,
};
use spellings::Spellings;

/// Symbols that belong to numbers.
const KEPT: &str = ".%$¢€£";

/// Texts in lower case, without punctuation and hesitations, contractions written out, numbers in digits and words as
/// Americans spell them.
#[derive(Debug, Default)]
pub struct EnglishNormalizer {
    spellings: Spellings,
}

impl EnglishNormalizer {
    /// A normaliser, with its table of spellings.
    pub fn new() -> Self {
        Self::default()
    }

    /// The text normalised: words with single spaces between them, and perhaps one before and behind.
    pub fn normalize(&self, text: &str) -> String {
        let text = without_brackets(&text.to_lowercase());
        let text = without_space_before_apostrophes(&without_hesitations(&text));
        let text = contractions::expand(&text);
        let text = without_full_stops(&without_commas_in_numbers(&text));
        let text = without_symbols_and_diacritics(&text, KEPT);
        let text = self.spellings.americanise(&amounts::normalize(&text));
        with_single_spaces(&without_lonely_symbols(&text))
    }
}

/// Removes sounds that are no words.
fn without_hesitations(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        if !matches!(run, "hmm" | "mm" | "mhm" | "mmm" | "uh" | "um") {
            kept.push_str(run);
        }
        rest = after;
    }
    kept
}

fn without_space_before_apostrophes(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\'' {
            kept.truncate(kept.trim_end_matches(is_space).len());
        }
        kept.push(c);
    }
    kept
}

/// Removes commas between digits: `1,000`. Of digits one by one, as in `1,2,3`, every other comma stays: a digit that
/// has been looked at is not looked at again.
fn without_commas_in_numbers(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut kept = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        kept.push(characters[at]);
        match characters[at..] {
            [before, ',', after, ..] if is_digit(before) && is_digit(after) => {
                kept.push(after);
                at += 3;
            }
            _ => at += 1,
        }
    }
    kept
}

/// A space for every full stop that is not followed by a digit. The character behind it is not looked at again, so that
/// of two full stops the second stays.
fn without_full_stops(text: &str) -> String {
    spaced(text, |c| c == '.', true)
}

/// A space for full stops and currency signs that are not followed by a digit, and for percent signs that do not follow
/// one.
fn without_lonely_symbols(text: &str) -> String {
    let text = spaced(text, |c| ".$¢€£".contains(c), false);
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        kept.push(c);
        if !c.is_ascii_digit() && characters.next_if_eq(&'%').is_some() {
            kept.push(' ');
        }
    }
    kept
}

/// A space for every such character that is followed by something else than a digit, or by nothing if `at_end`.
fn spaced(text: &str, is_such: impl Fn(char) -> bool, at_end: bool) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let next = characters.peek().copied();
        if is_such(c) && next.map_or(at_end, |next| !next.is_ascii_digit()) {
            kept.push(' ');
            kept.extend(characters.next());
        } else {
            kept.push(c);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_made_comparable() {
        let normalizer = EnglishNormalizer::new();
        for (text, expected) in [
            ("Um, I won't pay $1,234.50 (laughs)!", "i will not pay $1234.50"),
            ("Mr. Smith 's colour: GREY", "mister smith is color gray"),
            ("Ten thousand dollars and fifty percent.", "$10000 and 50%"),
            ("", ""),
        ] {
            assert_eq!(normalizer.normalize(text).trim(), expected, "{text}");
        }
    }

    /// Sentences made by `tests/agreement.py`, with what the package `whisper-normalizer` makes of them.
    #[test]
    fn texts_become_what_the_original_makes_of_them() {
        let normalizer = EnglishNormalizer::new();
        let golden = include_str!("../../tests/golden.tsv");
        assert!(golden.lines().count() >= 200);
        for line in golden.lines() {
            let (text, expected) = line.split_once('\t').unwrap();
            assert_eq!(normalizer.normalize(text), expected, "{text}");
        }
    }

    #[test]
    fn what_has_been_looked_at_is_not_looked_at_again() {
        assert_eq!(without_commas_in_numbers("1,234,567 1,2,3"), "1234567 12,3");
        assert_eq!(without_full_stops("a... b. 1.5."), "a .  b  1.5 ");
        assert_eq!(without_lonely_symbols("$5 $ a% %% 5%"), "$5   a   % 5%");
    }

    #[test]
    fn hesitations_are_whole_words() {
        assert_eq!(without_hesitations("um, hum umm uh-huh mm"), ", hum umm -huh ");
    }
}
