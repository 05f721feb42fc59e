//! Writes spelt-out numbers in digits.
//!
//! Like the original normaliser, it processes one word at a time, with the previous and the next word as context. The
//! odd rules of the original are kept: `zero point five` becomes `0.5`, but `0 point 5` becomes `.5`.

use super::number_words::NumberWord;
use super::value::Value;
use crate::characters::is_digit;

/// Writes the numbers among `words` in digits. One returned string can replace several words.
pub fn in_digits(words: &[&str]) -> Vec<String> {
    let mut numbers = Numbers::default();
    let mut at = 0;
    while at < words.len() {
        let previous = at.checked_sub(1).and_then(|before| NumberWord::of(words[before]));
        let next = words.get(at + 1).copied();
        at += 1 + usize::from(numbers.take(words[at], previous, next));
    }
    numbers.finish();
    numbers.written
}

#[derive(Default)]
struct Numbers {
    written: Vec<String>,
    /// The number that the most recent words form. It is appended to `written` when it is complete.
    value: Option<Value>,
    /// A sign or currency symbol to put before the next word that is written.
    prefix: Option<String>,
}

impl Numbers {
    /// Processes a word. Returns true if the next word was processed together with it and must be skipped.
    fn take(&mut self, word: &str, previous: Option<NumberWord>, next: Option<&str>) -> bool {
        let unsigned = word.strip_prefix(['-', '+', '£', '€', '$', '¢']);
        if is_numeral(unsigned.unwrap_or(word)) {
            self.numeral(word, unsigned);
            return false;
        }
        let Some(meaning) = NumberWord::of(word) else {
            self.finish();
            self.write(word);
            return false;
        };
        let next_word = next.and_then(NumberWord::of);
        let number_follows = next_word.is_some() || next.is_some_and(is_numeral);
        match meaning {
            NumberWord::Zero => self.spell("0"),
            NumberWord::Ones(number) => self.value = Some(self.with_ones(number, previous)),
            NumberWord::OnesWith(number, end) => self.write_value(&self.with_ones(number, previous), end),
            NumberWord::Tens(number) => self.value = Some(self.with_tens(number)),
            NumberWord::TensWith(number, end) => self.write_value(&self.with_tens(number), end),
            NumberWord::Power(exponent) => {
                let value = self.times_power(exponent);
                self.value = Some(value);
            }
            NumberWord::PowerWith(exponent, end) => {
                let value = self.times_power(exponent);
                self.write_value(&value, end);
            }
            NumberWord::Sign(sign) => {
                self.finish();
                if number_follows {
                    self.prefix = Some(sign.to_owned());
                } else {
                    self.write(word);
                }
            }
            NumberWord::Currency(sign) => {
                if let Some(value) = self.value.take() {
                    self.prefix = Some(sign.to_owned());
                    self.write(value.as_str());
                } else {
                    self.write(word);
                }
            }
            NumberWord::Percent | NumberWord::Per => return self.percent(word, meaning, next),
            NumberWord::And | NumberWord::Repeat(_) | NumberWord::Point if !number_follows => {
                self.finish();
                self.write(word);
            }
            NumberWord::And => {
                if !matches!(previous, Some(NumberWord::Power(_))) {
                    self.finish();
                    self.write(word);
                }
            }
            NumberWord::Repeat(times) => return self.repeat(word, times, next_word),
            NumberWord::Point => {
                if next_word.is_none_or(NumberWord::is_decimal) {
                    self.spell(".");
                }
            }
        }
        false
    }

    /// Processes a number in digits. `unsigned` is the part after the sign or currency symbol; `None` if there is no
    /// symbol.
    fn numeral(&mut self, word: &str, unsigned: Option<&str>) {
        if let Some(Value::Spelt(digits)) = &mut self.value
            && digits.ends_with('.')
        {
            // The value ends in a point, so these digits are decimals, or the next part of a version number or an
            // address.
            digits.push_str(word);
            return;
        }
        self.finish();
        if let Some(unsigned) = unsigned {
            self.prefix = Some(word[..word.len() - unsigned.len()].to_owned());
        }
        self.value = Some(Value::of_numeral(unsigned.unwrap_or(word)));
    }

    /// Combines the current value with a number from one to nineteen. The result is the sum of both if the value ends
    /// in enough zeros, as in `twenty one`, and the previous word is not itself a number from one to nineteen.
    /// Otherwise the digits are concatenated. If the value is already a concatenation that ends in one of the tens,
    /// as in `one twenty`, a number below ten replaces its final zero.
    fn with_ones(&self, number: u32, previous: Option<NumberWord>) -> Value {
        let Some(value) = &self.value else { return Value::whole(number) };
        let digits = value.as_str();
        if value.is_spelt() && number < 10 && matches!(previous, Some(NumberWord::Tens(_))) {
            return Value::Spelt(format!("{}{number}", &digits[..digits.len() - 1]));
        }
        let has_zeros = value.is_multiple_of_power(if number < 10 { 1 } else { 2 });
        if has_zeros && !matches!(previous, Some(NumberWord::Ones(_))) {
            value.plus(number)
        } else {
            Value::Spelt(format!("{digits}{number}"))
        }
    }

    /// Combines the current value with one of the tens from twenty to ninety. If the value ends in two zeros, the
    /// result is the sum of both, otherwise the digits are concatenated.
    fn with_tens(&self, number: u32) -> Value {
        match &self.value {
            None => Value::whole(number),
            Some(value) if value.is_multiple_of_power(2) => value.plus(number),
            Some(value) => Value::Spelt(format!("{}{number}", value.as_str())),
        }
    }

    /// Takes the current value and returns it multiplied by a power of ten. For a whole number other than zero, only
    /// its last three digits are multiplied. If there is no value, returns the power of ten. If the product is not a
    /// whole number, writes the current value and returns the power of ten.
    fn times_power(&mut self, exponent: usize) -> Value {
        let Some(value) = self.value.take() else { return Value::power(exponent) };
        if !value.is_spelt() && !value.is_zero() {
            return value.with_last_thousand_times_power(exponent);
        }
        value.times_power(exponent).unwrap_or_else(|| {
            self.write(value.as_str());
            Value::power(exponent)
        })
    }

    /// Processes the word `percent` or `per`. Writes the current value with a percent sign if the word is `percent`,
    /// or if it is `per` and `cent` follows. Otherwise writes the current value and then the word unchanged. If there
    /// is no current value, writes only the word. Returns true if `cent` was processed too.
    fn percent(&mut self, word: &str, meaning: NumberWord, next: Option<&str>) -> bool {
        let is_two_words = meaning == NumberWord::Per;
        let Some(value) = self.value.take() else {
            self.write(word);
            return false;
        };
        if is_two_words && next != Some("cent") {
            self.write(value.as_str());
            self.write(word);
            return false;
        }
        self.write(&format!("{}%", value.as_str()));
        is_two_words
    }

    /// Processes `double` or `triple`. If a word from zero to nineteen follows, appends that number repeatedly to the
    /// current value and returns true, because the next word was processed too. Otherwise writes the current value,
    /// then the word unchanged, and returns false.
    fn repeat(&mut self, word: &str, times: usize, next: Option<NumberWord>) -> bool {
        let digits = match next {
            Some(NumberWord::Zero) => "0".to_owned(),
            Some(NumberWord::Ones(number)) => number.to_string(),
            _ => {
                self.finish();
                self.write(word);
                return false;
            }
        };
        self.spell(&digits.repeat(times));
        true
    }

    /// Appends spelt digits or a point to the current value. A value of zero is dropped first.
    fn spell(&mut self, more: &str) {
        let value = self.value.take().filter(|value| !value.is_zero());
        self.value = Some(Value::Spelt(format!("{}{more}", value.as_ref().map_or("", Value::as_str))));
    }

    fn write_value(&mut self, value: &Value, end: &str) {
        self.write(&format!("{}{end}", value.as_str()));
        self.value = None;
    }

    /// Writes the current value, if there is one, and clears it.
    fn finish(&mut self) {
        if let Some(value) = self.value.take() {
            self.write(value.as_str());
        }
    }

    fn write(&mut self, word: &str) {
        self.written.push(self.prefix.take().unwrap_or_default() + word);
    }
}

/// Whether the word is a number in digits, such as `12` or `1.50`.
fn is_numeral(word: &str) -> bool {
    let is_number = |digits: &str| !digits.is_empty() && digits.chars().all(is_digit);
    match word.split_once('.') {
        Some((whole, fraction)) => is_number(whole) && is_number(fraction),
        None => is_number(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        in_digits(&text.split(' ').collect::<Vec<_>>()).join(" ")
    }

    #[test]
    fn numbers_are_written_in_digits() {
        for (words, expected) in [
            ("one hundred and twenty three", "123"),
            ("two point five million dollars", "$2500000"),
            ("nineteen eighty four", "1984"),
            ("the twenty first of may", "the 21st of may"),
            ("the nineteen sixties", "the 1960s"),
            ("minus five percent", "-5%"),
            ("ten per cent per year", "10% per year"),
            ("one oh one", "101"),
            ("double o seven", "007"),
            ("three point one four", "3.14"),
            ("twenty thousand leagues", "20000 leagues"),
            ("$20 million", "$20000000"),
            ("bed and breakfast", "bed and breakfast"),
            ("nine hundred decillion decillion", "900000000000000000000000000000000000"),
            ("point taken", "point taken"),
        ] {
            assert_eq!(written(words), expected, "{words}");
        }
    }

    #[test]
    fn odd_rules_of_the_original_are_kept() {
        assert_eq!(written("0 point 5"), ".5");
        assert_eq!(written("the ninth"), "the ninth");
        assert_eq!(written("plus and"), "+and");
    }
}
