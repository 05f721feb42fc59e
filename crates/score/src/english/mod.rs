//! Whisper's text normaliser for English: contractions, numbers and spellings.

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

/// Symbols that can be part of a number.
const NUMBER_SYMBOLS: &str = ".%$¢€£";

/// The English normaliser. It converts to lower case, removes punctuation and hesitations, expands contractions,
/// writes numbers in digits, and uses American spellings.
#[derive(Debug, Default)]
pub struct EnglishNormalizer {
    spellings: Spellings,
}

impl EnglishNormalizer {
    /// Creates a normaliser and its table of spellings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Normalises a text. The result has single spaces between the words, and possibly one space at each end.
    pub fn normalize(&self, text: &str) -> String {
        let text = without_brackets(&text.to_lowercase());
        let text = without_space_before_apostrophes(&without_hesitations(&text));
        let text = contractions::expand(&text);
        let text = without_full_stops(&without_commas_in_numbers(&text));
        let text = without_symbols_and_diacritics(&text, NUMBER_SYMBOLS);
        let text = self.spellings.americanise(&amounts::normalize(&text));
        with_single_spaces(&without_standalone_symbols(&text))
    }
}

/// Removes hesitation sounds such as "um".
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

/// Removes commas between digits, as in `1,000`. Every other comma in a list of single digits such as `1,2,3` is
/// kept, because the matches of the original's regular expression do not overlap.
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

/// Replaces full stops by spaces, except before a digit. As in the original, the match includes the character after
/// the full stop. So in a run of two full stops the second is kept.
fn without_full_stops(text: &str) -> String {
    spaced(text, |c| c == '.', true)
}

/// Replaces full stops and currency signs by spaces, except before a digit. Replaces percent signs by spaces, except
/// after a digit.
fn without_standalone_symbols(text: &str) -> String {
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

/// Replaces each character that `is_symbol` accepts by a space, unless a digit follows. The character after a
/// replaced symbol is kept, even if it is a symbol too. A symbol at the end of the text is replaced only if `at_end`
/// is set.
fn spaced(text: &str, is_symbol: impl Fn(char) -> bool, at_end: bool) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let next = characters.peek().copied();
        if is_symbol(c) && next.map_or(at_end, |next| !next.is_ascii_digit()) {
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
    fn texts_are_normalised() {
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

    /// Compares the results with those of the package `whisper-normalizer`, on sentences that `tests/agreement.py`
    /// generates.
    #[test]
    fn texts_equal_those_of_the_original() {
        let normalizer = EnglishNormalizer::new();
        let golden = include_str!("../../tests/golden.tsv");
        assert!(golden.lines().count() >= 200);
        for line in golden.lines() {
            let (text, expected) = line.split_once('\t').unwrap();
            assert_eq!(normalizer.normalize(text), expected, "{text}");
        }
    }

    #[test]
    fn a_replaced_symbol_also_consumes_the_next_character() {
        assert_eq!(without_commas_in_numbers("1,234,567 1,2,3"), "1234567 12,3");
        assert_eq!(without_full_stops("a... b. 1.5."), "a .  b  1.5 ");
        assert_eq!(without_standalone_symbols("$5 $ a% %% 5%"), "$5   a   % 5%");
    }

    #[test]
    fn only_whole_words_are_hesitations() {
        assert_eq!(without_hesitations("um, hum umm uh-huh mm"), ", hum umm -huh ");
    }
}
