//! Classes of characters, and the functions for brackets, symbols and spaces that the English and the basic
//! normaliser share.
//!
//! The classes are those of Python's regular expressions and string methods, because the original normalisers are
//! written in Python.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Whether Python's `\s` and `str.split` treat `c` as white space. This includes the ASCII control characters that
/// separate files, groups, records and units (U+001C to U+001F).
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Whether Python's `\w` matches `c`. It matches letters, numbers and the underscore, but no combining marks.
pub fn is_word(c: char) -> bool {
    c == '_' || matches!(c.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number)
}

/// Whether Python's `\d` matches `c`. It matches the decimal digits of any script.
pub fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || (!c.is_ascii() && c.general_category() == GeneralCategory::DecimalNumber)
}

/// The value of a decimal digit of any script. In Unicode, the ten digits of a script are consecutive.
pub fn digit_value(c: char) -> u8 {
    if let Some(value) = c.to_digit(10) {
        return value as u8;
    }
    let before = |n: &u32| char::from_u32(u32::from(c).saturating_sub(*n)).is_some_and(is_digit);
    (1..10).take_while(before).count() as u8
}

/// Splits a text at white space into words, as Python's `str.split` does.
pub fn split(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.split(is_space).filter(|piece| !piece.is_empty())
}

/// Removes brackets together with the text inside: `[...]`, `<...>` and `(...)`. Square and angle brackets may be
/// mixed, as in `[...>`. Empty parentheses `()` are kept.
pub fn without_brackets(text: &str) -> String {
    let text = without(text, &['<', '['], &['>', ']'], false);
    without(&text, &['('], &[')'], true)
}

/// Removes all text from an opening character to the next closing one, both included. An opening character without a
/// closing one is kept. If `keep_empty` is set, a pair of brackets with nothing in between is kept too.
fn without(text: &str, open: &[char], close: &[char], keep_empty: bool) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(open) {
        let inner = start + 1;
        let Some(length) = rest[inner..].find(close) else { break };
        if keep_empty && length == 0 {
            kept.push_str(&rest[..inner]);
            rest = &rest[inner..];
        } else {
            kept.push_str(&rest[..start]);
            // The closing character is one byte long, because all brackets are ASCII.
            rest = &rest[inner + length + 1..];
        }
    }
    kept + rest
}

/// Composes the text (NFKC) and replaces every mark, symbol and punctuation character by a space.
pub fn without_symbols(text: &str) -> String {
    text.nfkc().map(|c| if is_symbol(c) { ' ' } else { c }).collect()
}

/// Decomposes the text (NFKD), removes diacritics, replaces letters such as `ø` by ASCII letters, and replaces every
/// other mark, symbol and punctuation character by a space. Keeps the characters in `keep`.
pub fn without_symbols_and_diacritics(text: &str, keep: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.nfkd() {
        if keep.contains(c) {
            clean.push(c);
        } else if let Some(plain) = to_ascii(c) {
            clean.push_str(plain);
        } else if c.general_category() != GeneralCategory::NonspacingMark {
            clean.push(if is_symbol(c) { ' ' } else { c });
        }
    }
    clean
}

/// Replaces every run of white space by one space.
pub fn with_single_spaces(text: &str) -> String {
    let mut single = String::with_capacity(text.len());
    for c in text.chars() {
        if !is_space(c) {
            single.push(c);
        } else if !single.ends_with(' ') {
            single.push(' ');
        }
    }
    single
}

fn is_symbol(c: char) -> bool {
    use GeneralCategoryGroup::{Mark, Punctuation, Symbol};
    matches!(c.general_category_group(), Mark | Symbol | Punctuation)
}

/// The ASCII replacement of a Latin letter that decomposition does not change, such as `ø`. `None` for other
/// characters.
fn to_ascii(c: char) -> Option<&'static str> {
    Some(match c {
        'œ' => "oe",
        'Œ' => "OE",
        'ø' => "o",
        'Ø' => "O",
        'æ' => "ae",
        'Æ' => "AE",
        'ß' => "ss",
        'ẞ' => "SS",
        'đ' | 'ð' => "d",
        'Đ' | 'Ð' => "D",
        'þ' | 'Þ' => "th",
        'ł' => "l",
        'Ł' => "L",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_removed_with_their_contents() {
        assert_eq!(without_brackets("a [b] <c] d(e)f"), "a   df");
        assert_eq!(without_brackets("a [b (c) > d"), "a  d");
        assert_eq!(without_brackets("a [b"), "a [b");
        assert_eq!(without_brackets("f() [] (()) x"), "f()  ) x");
    }

    #[test]
    fn digits_of_any_script_have_values() {
        assert_eq!("09٠٣٩०९".chars().map(digit_value).collect::<Vec<_>>(), [0, 9, 0, 3, 9, 0, 9]);
        assert!(!is_digit('²') && !is_digit('a'));
    }

    #[test]
    fn combining_marks_are_not_word_characters() {
        assert!(is_word('é') && is_word('²') && is_word('_') && !is_word('\u{301}') && !is_word('-'));
    }

    #[test]
    fn diacritics_are_removed_and_symbols_become_spaces() {
        assert_eq!(without_symbols_and_diacritics("ŁÓDŹ-straße 5€ ½", "€"), "LODZ strasse 5€ 1 2");
        assert_eq!(without_symbols("ﬁn-é\u{301}"), "fin é ");
    }
}
