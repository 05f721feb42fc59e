//! The value of an unfinished number, stored as decimal digits of any length.

use crate::characters::{digit_value, is_digit};

/// The value of a number, as far as its words have been processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A whole number, in decimal digits without leading zeros.
    Whole(String),
    /// Digits that were spelt one by one. They may include leading zeros and points.
    Spelt(String),
}

impl Value {
    /// Creates a whole number.
    pub fn whole(number: u32) -> Self {
        Self::Whole(number.to_string())
    }

    /// Creates ten to the power of `exponent`.
    pub fn power(exponent: usize) -> Self {
        Self::Whole(shifted("1", exponent))
    }

    /// Creates the value of a number that is written in digits. The value is `Whole` if the numeral has no decimals
    /// other than zeros, and `Spelt` otherwise.
    pub fn of_numeral(numeral: &str) -> Self {
        let whole = Decimal::parse(numeral).filter(|decimal| decimal.fraction.is_empty());
        whole.map_or_else(|| Self::Spelt(numeral.to_owned()), |decimal| Self::Whole(decimal.whole))
    }

    /// The digits of the value, possibly with points.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Whole(digits) | Self::Spelt(digits) => digits,
        }
    }

    pub fn is_spelt(&self) -> bool {
        matches!(self, Self::Spelt(_))
    }

    pub fn is_zero(&self) -> bool {
        *self == Self::Whole("0".to_owned())
    }

    /// Whether the value is a whole number that ends in at least `zeros` zeros. The value 0 counts as ending in any
    /// number of zeros.
    pub fn is_multiple_of_power(&self, zeros: usize) -> bool {
        matches!(self, Self::Whole(digits) if digits == "0" || digits.len() > zeros && digits.ends_with(&"0".repeat(zeros)))
    }

    /// The sum of this value, which must be a whole number, and `number`.
    pub fn plus(&self, number: u32) -> Self {
        Self::Whole(sum(self.as_str(), &number.to_string()))
    }

    /// Multiplies only the last three digits of this whole number by ten to the power of `exponent`, and adds the
    /// rest of the number unchanged.
    pub fn with_last_thousand_times_power(&self, exponent: usize) -> Self {
        let digits = self.as_str();
        let (before, last) = digits.split_at(digits.len().saturating_sub(3));
        Self::Whole(sum(&shifted(before, 3), &shifted(last, exponent)))
    }

    /// Interprets the digits as a decimal fraction and multiplies it by ten to the power of `exponent`. `None` if the
    /// digits are not a decimal fraction or the result is not a whole number.
    pub fn times_power(&self, exponent: usize) -> Option<Self> {
        let Decimal { whole, fraction } = Decimal::parse(self.as_str())?;
        let zeros = exponent.checked_sub(fraction.len())?;
        Some(Self::Whole(without_leading_zeros(&shifted(&format!("{whole}{fraction}"), zeros)).to_owned()))
    }
}

/// A decimal fraction in digits.
struct Decimal {
    /// The digits before the point, without leading zeros. The string is `0` if there are no such digits.
    whole: String,
    /// The digits after the point, without zeros at the end.
    fraction: String,
}

impl Decimal {
    /// Parses decimal digits of any script with at most one point. `None` if the text is anything else.
    fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |text: &str| text.chars().all(is_digit);
        if !is_number(whole) || !is_number(fraction) || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let ascii = |text: &str| text.chars().map(|c| char::from(b'0' + digit_value(c))).collect::<String>();
        let fraction = ascii(fraction).trim_end_matches('0').to_owned();
        Some(Self { whole: without_leading_zeros(&ascii(whole)).to_owned(), fraction })
    }
}

fn without_leading_zeros(digits: &str) -> &str {
    match digits.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    }
}

fn shifted(digits: &str, zeros: usize) -> String {
    format!("{digits}{}", "0".repeat(zeros))
}

/// The sum of two whole numbers in decimal digits.
fn sum(a: &str, b: &str) -> String {
    let (mut a, mut b) = (a.bytes().rev(), b.bytes().rev());
    let mut digits = Vec::new();
    let mut carry = 0;
    loop {
        let (x, y) = (a.next(), b.next());
        if x.is_none() && y.is_none() && carry == 0 {
            break;
        }
        let digit = |byte: Option<u8>| byte.map_or(0, |byte| byte - b'0');
        let total = digit(x) + digit(y) + carry;
        digits.push(char::from(b'0' + total % 10));
        carry = total / 10;
    }
    without_leading_zeros(&digits.into_iter().rev().collect::<String>()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(digits: &str) -> Value {
        Value::Whole(digits.to_owned())
    }

    #[test]
    fn digits_are_added() {
        assert_eq!(sum("999", "1"), "1000");
        assert_eq!(sum("000", "000"), "0");
        assert_eq!(sum("", "50"), "50");
        assert_eq!(Value::whole(0).plus(17), whole("17"));
    }

    #[test]
    fn numerals_are_parsed() {
        assert_eq!(Value::of_numeral("007"), whole("7"));
        assert_eq!(Value::of_numeral("12.00"), whole("12"));
        assert_eq!(Value::of_numeral("12.50"), Value::Spelt("12.50".to_owned()));
        assert_eq!(Value::of_numeral("٣"), whole("3"));
    }

    #[test]
    fn values_are_multiplied_by_powers_of_ten() {
        assert_eq!(Value::power(6), whole("1000000"));
        assert_eq!(Value::whole(1200).with_last_thousand_times_power(6), whole("200001000"));
        assert_eq!(Value::whole(5).with_last_thousand_times_power(2), whole("500"));
        let times = |digits: &str, exponent| Value::Spelt(digits.to_owned()).times_power(exponent);
        assert_eq!(times("2.5", 6), Some(whole("2500000")));
        assert_eq!(times(".5", 2), Some(whole("50")));
        assert_eq!(times("0.", 3), Some(whole("0")));
        assert_eq!((times("1.234", 2), times("1.2.3", 6), times(".", 2)), (None, None, None));
    }

    #[test]
    fn multiples_of_powers_of_ten_are_recognised() {
        let is_multiple = |number, zeros| Value::whole(number).is_multiple_of_power(zeros);
        assert!(is_multiple(0, 2) && is_multiple(100, 2) && is_multiple(20, 1));
        assert!(!is_multiple(20, 2) && !is_multiple(101, 1) && !Value::Spelt("100".to_owned()).is_multiple_of_power(2));
    }
}
