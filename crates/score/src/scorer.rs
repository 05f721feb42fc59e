//! Compares a transcript with its reference, using the normaliser and the unit (word or character) of the language.

use crate::basic::BasicNormalizer;
use crate::edits::{Errors, align};
use crate::english::EnglishNormalizer;

/// Codes of the languages that are written without spaces between words. Texts in these languages are compared by
/// character.
const BY_CHARACTER: [&str; 6] = ["zh", "ja", "th", "lo", "my", "yue"];

/// Whether texts in this language are compared by character and not by word. `language` is a language code.
pub fn is_by_character(language: &str) -> bool {
    BY_CHARACTER.contains(&language)
}

/// Compares transcripts with references.
#[derive(Debug, Default)]
pub struct Scorer {
    english: EnglishNormalizer,
    basic: BasicNormalizer,
}

impl Scorer {
    /// Creates a scorer for all languages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Normalises a text and splits it into the units that are compared: words or characters. `language` is a code
    /// such as `en`.
    pub fn units(&self, text: &str, language: &str) -> Vec<String> {
        if is_by_character(language) {
            return self.basic.normalize(text).chars().filter(|c| *c != ' ').map(String::from).collect();
        }
        let text = if language == "en" { self.english.normalize(text) } else { self.basic.normalize(text) };
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// Counts the errors of `hypothesis` compared with `reference`, after normalising both. `language` is a code such
    /// as `en`.
    pub fn compare(&self, reference: &str, hypothesis: &str, language: &str) -> Errors {
        align(&self.units(reference, language), &self.units(hypothesis, language))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_without_spaces_are_compared_by_character() {
        let scorer = Scorer::new();
        assert_eq!(scorer.units("甚至 出现！", "zh"), ["甚", "至", "出", "现"]);
        assert_eq!(scorer.units("안녕 세계!", "ko"), ["안녕", "세계"]);
        let errors = scorer.compare("甚至出现", "甚至 出線", "zh");
        assert_eq!((errors.substitutions, errors.units), (1, 4));
    }

    #[test]
    fn english_has_a_separate_normaliser() {
        let scorer = Scorer::new();
        assert_eq!(scorer.compare("don't", "do not", "en").total(), 0);
        assert_eq!(scorer.units("l'été", "fr"), ["l", "été"]);
    }
}
