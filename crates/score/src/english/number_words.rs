//! The words that spelt-out numbers consist of.

const ONES: [&str; 19] = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];

const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// The names of the powers of a thousand, beginning with the first power.
const POWERS: [&str; 11] = [
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
    "sextillion",
    "septillion",
    "octillion",
    "nonillion",
    "decillion",
];

/// The meaning of a word inside a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberWord {
    /// `zero`, `oh`, or the letter `o`.
    Zero,
    /// A number from one to nineteen.
    Ones(u32),
    /// The plural or ordinal of a number from one to nineteen, with the suffix to write after the digits.
    OnesWith(u32, &'static str),
    /// One of the tens from twenty to ninety.
    Tens(u32),
    /// The plural or ordinal of one of the tens from twenty to ninety, with the suffix to write after the digits.
    TensWith(u32, &'static str),
    /// A power of ten, given by its exponent: 2 for `hundred`.
    Power(usize),
    /// The plural or ordinal of a power of ten, given by its exponent, with the suffix to write after the digits.
    PowerWith(usize, &'static str),
    /// A sign that is spoken before the number, given as its symbol.
    Sign(&'static str),
    /// A currency that is spoken after the number, given as the symbol to write before the number.
    Currency(&'static str),
    /// The word `per`, which may be followed by `cent`.
    Per,
    Percent,
    And,
    /// `double` or `triple`. The value is the number of times that the next digit is written.
    Repeat(usize),
    Point,
}

impl NumberWord {
    /// The meaning of `word`, or `None` if it cannot be part of a number.
    pub fn of(word: &str) -> Option<Self> {
        Some(match word {
            "o" | "oh" | "zero" => Self::Zero,
            "minus" | "negative" => Self::Sign("-"),
            "plus" | "positive" => Self::Sign("+"),
            "pound" | "pounds" => Self::Currency("£"),
            "euro" | "euros" => Self::Currency("€"),
            "dollar" | "dollars" => Self::Currency("$"),
            "cent" | "cents" => Self::Currency("¢"),
            "per" => Self::Per,
            "percent" => Self::Percent,
            "and" => Self::And,
            "double" => Self::Repeat(2),
            "triple" => Self::Repeat(3),
            "point" => Self::Point,
            _ => {
                return ones(word)
                    .map(Self::Ones)
                    .or_else(|| tens(word).map(Self::Tens))
                    .or_else(|| power(word).map(Self::Power))
                    .or_else(|| ones_with_end(word).map(|(value, end)| Self::OnesWith(value, end)))
                    .or_else(|| tens_with_end(word).map(|(value, end)| Self::TensWith(value, end)))
                    .or_else(|| power_with_end(word).map(|(exponent, end)| Self::PowerWith(exponent, end)));
            }
        })
    }

    /// Whether this word can follow the word `point` as a decimal.
    pub fn is_decimal(self) -> bool {
        matches!(self, Self::Zero | Self::Ones(_) | Self::Tens(_))
    }
}

fn position(words: &[&str], word: &str) -> Option<u32> {
    words.iter().position(|other| *other == word).map(|at| at as u32)
}

fn ones(word: &str) -> Option<u32> {
    position(&ONES, word).map(|at| at + 1)
}

fn tens(word: &str) -> Option<u32> {
    position(&TENS, word).map(|at| 10 * (at + 2))
}

fn power(word: &str) -> Option<usize> {
    if word == "hundred" {
        return Some(2);
    }
    position(&POWERS, word).map(|at| 3 * (at as usize + 1))
}

/// Recognises plurals and ordinals of the numbers from one to nineteen, and returns the number and the suffix. As in
/// the original, most are formed by rule, so that `nineth` is recognised and `ninth` is not.
fn ones_with_end(word: &str) -> Option<(u32, &'static str)> {
    match word {
        "zeroth" => return Some((0, "th")),
        "first" => return Some((1, "st")),
        "second" => return Some((2, "nd")),
        "third" => return Some((3, "rd")),
        "fifth" => return Some((5, "th")),
        "twelfth" => return Some((12, "th")),
        "sixes" => return Some((6, "s")),
        "sixs" => return None,
        _ => {}
    }
    if let Some(value) = word.strip_suffix('s').and_then(ones) {
        return Some((value, "s"));
    }
    let stem = if word == "eighth" { "eight" } else { word.strip_suffix("th").filter(|stem| *stem != "eight")? };
    ones(stem).filter(|value| *value > 3 && ![5, 12].contains(value)).map(|value| (value, "th"))
}

fn tens_with_end(word: &str) -> Option<(u32, &'static str)> {
    let (stem, end) =
        word.strip_suffix("ies").map(|stem| (stem, "s")).or_else(|| Some((word.strip_suffix("ieth")?, "th")))?;
    tens(&format!("{stem}y")).map(|value| (value, end))
}

fn power_with_end(word: &str) -> Option<(usize, &'static str)> {
    let (stem, end) =
        word.strip_suffix('s').map(|stem| (stem, "s")).or_else(|| Some((word.strip_suffix("th")?, "th")))?;
    power(stem).map(|exponent| (exponent, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_words_are_recognised() {
        for (word, expected) in [
            ("oh", NumberWord::Zero),
            ("nineteen", NumberWord::Ones(19)),
            ("ninety", NumberWord::Tens(90)),
            ("hundred", NumberWord::Power(2)),
            ("decillion", NumberWord::Power(33)),
            ("sixes", NumberWord::OnesWith(6, "s")),
            ("eighth", NumberWord::OnesWith(8, "th")),
            ("nineth", NumberWord::OnesWith(9, "th")),
            ("twelfth", NumberWord::OnesWith(12, "th")),
            ("sixties", NumberWord::TensWith(60, "s")),
            ("fortieth", NumberWord::TensWith(40, "th")),
            ("millionth", NumberWord::PowerWith(6, "th")),
        ] {
            assert_eq!(NumberWord::of(word), Some(expected), "{word}");
        }
        for word in ["", "ninth", "sixs", "eightth", "fiveth", "twoth", "h", "th", "ies", "word"] {
            assert_eq!(NumberWord::of(word), None, "{word}");
        }
    }
}
