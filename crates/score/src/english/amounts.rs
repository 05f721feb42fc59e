//! Normalises numbers and amounts of money. This includes the steps before and after the conversion of spelt-out
//! numbers to digits.

use super::number_words::NumberWord;
use super::numbers::in_digits;
use crate::characters::{is_space, is_word, split};

/// Writes numbers and amounts of money in digits, with single spaces between the words.
pub fn normalize(text: &str) -> String {
    let text = with_suffixes_joined(&with_digits_apart(&with_halves(text)));
    let words: Vec<&str> = split(&text).collect();
    let text = in_digits(&words).join(" ");
    with_ones_spelt(&with_cents(&with_dollars_and_cents(&text)))
}

/// Replaces `and a half` by `point five` if it follows a number word, and removes it if no word precedes it.
fn with_halves(text: &str) -> String {
    let segments = split_at_halves(text);
    let last = segments.len() - 1;
    let mut pieces = Vec::new();
    for (at, segment) in segments.into_iter().enumerate() {
        let Some(word) = split(segment).next_back() else { continue };
        pieces.push(segment);
        if at < last {
            let is_number = |word: NumberWord| word.is_decimal() || matches!(word, NumberWord::Power(_));
            let has_half = NumberWord::of(word).is_some_and(is_number);
            pieces.push(if has_half { "point five" } else { "and a half" });
        }
    }
    pieces.join(" ")
}

/// Splits the text at each `and a half`.
fn split_at_halves(text: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices("and") {
        let is_word_before = text[..at].chars().next_back().is_some_and(is_word);
        let Some(length) = half_at(&text[at..]) else { continue };
        if !is_word_before {
            segments.push(&text[start..at]);
            start = at + length;
        }
    }
    segments.push(&text[start..]);
    segments
}

/// The length in bytes of `and a half` at the beginning of the text. `None` if the text does not begin with these
/// whole words.
fn half_at(text: &str) -> Option<usize> {
    let after_space = |rest: &'static str, text: &str| -> Option<usize> {
        let trimmed = text.trim_start_matches(is_space);
        (trimmed.len() < text.len() && trimmed.starts_with(rest)).then(|| text.len() - trimmed.len() + rest.len())
    };
    let first = "and".len();
    let second = first + after_space("a", text.get(first..)?)?;
    let end = second + after_space("half", &text[second..])?;
    (!text[end..].chars().next().is_some_and(is_word)).then_some(end)
}

/// Inserts a space wherever a letter and a digit are adjacent.
fn with_digits_apart(text: &str) -> String {
    let mut apart = String::with_capacity(text.len());
    for c in text.chars() {
        let is_border = apart.chars().next_back().is_some_and(|before| {
            (before.is_ascii_lowercase() && c.is_ascii_digit()) || (before.is_ascii_digit() && c.is_ascii_lowercase())
        });
        if is_border {
            apart.push(' ');
        }
        apart.push(c);
    }
    apart
}

/// Removes the space between digits and a suffix that forms an ordinal or a plural, as in `3 rd` or `1960 s`.
fn with_suffixes_joined(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let trimmed = rest.trim_start_matches(is_space);
        let suffix_len = trimmed.find(|c| !is_word(c)).unwrap_or(trimmed.len());
        let is_suffix = matches!(&trimmed[..suffix_len], "st" | "nd" | "rd" | "th" | "s");
        if is_space(c) && is_suffix && joined.ends_with(|before: char| before.is_ascii_digit()) {
            joined.push_str(&trimmed[..suffix_len]);
            rest = &trimmed[suffix_len..];
        } else {
            joined.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    joined
}

/// Joins an amount in dollars, euros or pounds and the cents after it: replaces `$2 and ¢7` by `$2.07`.
fn with_dollars_and_cents(text: &str) -> String {
    replace_each(text, |rest| {
        let amount = rest.strip_prefix(['€', '£', '$'])?;
        let (whole, after) = digits(amount)?;
        let after = after.strip_prefix(' ')?;
        let (cents, after) = short_number(after.strip_prefix("and ").unwrap_or(after).strip_prefix('¢')?)?;
        let sign = &rest[..rest.len() - amount.len()];
        Some((format!("{sign}{whole}.{cents:02}"), after))
    })
}

/// Replaces amounts below one dollar, euro or pound by cents, such as `$0.07` by `¢7`. Like the original, it accepts
/// any character in place of the point.
fn with_cents(text: &str) -> String {
    replace_each(text, |rest| {
        let after = rest.strip_prefix(['€', '£', '$'])?.strip_prefix('0')?;
        let point = after.chars().next()?;
        let (cents, after) = short_number(&after[point.len_utf8()..])?;
        Some((format!("¢{cents}"), after))
    })
}

/// Replaces the words `1` and `1s` by `one` and `ones`.
fn with_ones_spelt(text: &str) -> String {
    let mut before = None;
    let mut spelt = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if !before.is_some_and(is_word) && matches!(&rest[..len], "1" | "1s") {
            spelt.push_str("one");
            spelt.push_str(&rest[1..len]);
            rest = &rest[len..];
            before = Some('1');
        } else {
            spelt.push(c);
            before = Some(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    spelt
}

/// Builds a new text by calling `replacement` at each position, with the text from there to the end. `replacement`
/// returns the text to write and the text that remains after the replaced part, or `None` to keep the character at
/// the position.
fn replace_each(text: &str, replacement: impl Fn(&str) -> Option<(String, &str)>) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some((piece, after)) = replacement(rest) {
            replaced.push_str(&piece);
            rest = after;
        } else {
            replaced.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    replaced
}

/// Splits the text into the ASCII digits at its beginning and the text after them. `None` if it does not begin with a
/// digit.
fn digits(text: &str) -> Option<(&str, &str)> {
    let len = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (len > 0).then(|| text.split_at(len))
}

/// Parses a number of one or two digits at the beginning of the text. Also returns the text after it. `None` if the
/// text does not begin with a digit, the number is longer, or a word character follows it.
fn short_number(text: &str) -> Option<(u32, &str)> {
    let (number, after) = digits(text)?;
    let is_whole = number.len() <= 2 && !after.chars().next().is_some_and(is_word);
    if is_whole { Some((number.parse().ok()?, after)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn and_a_half_becomes_point_five() {
        assert_eq!(with_halves("two and a half years"), "two  point five  years");
        assert_eq!(with_halves("a year and a half"), "a year  and a half");
        assert_eq!(with_halves("and a half"), "");
        assert_eq!(with_halves("sand a half and a halfling"), "sand a half and a halfling");
    }

    #[test]
    fn digits_are_separated_from_letters_but_not_from_suffixes() {
        assert_eq!(with_digits_apart("b2b 3rd"), "b 2 b 3 rd");
        assert_eq!(with_suffixes_joined("3 rd 1960  s 5 stars 4 th"), "3rd 1960s 5 stars 4th");
    }

    #[test]
    fn dollars_and_cents_are_joined() {
        assert_eq!(normalize("two dollars and seven cents"), "$2.07");
        assert_eq!(normalize("$0.07 and $1.05"), "¢7 and $one.05");
        assert_eq!(with_cents("$0 15 $0123 $0.123"), "¢15 ¢23 $0.123");
    }

    #[test]
    fn a_single_one_is_spelt_out() {
        assert_eq!(with_ones_spelt("1 1s 11 1st $1 a1"), "one ones 11 1st $one a1");
    }
}
