//! Whisper's text normaliser for all languages except English.

use crate::characters::{with_single_spaces, without_brackets, without_symbols};

/// Converts to lower case, removes text in brackets, and replaces combining marks, symbols and punctuation by spaces.
/// Keeps diacritics that are part of a composed letter, such as `é`.
///
/// Combining marks that have no composed form become spaces too, which splits words of Indic scripts. Published error
/// rates are computed with this behaviour.
#[derive(Debug, Clone, Copy, Default)]
pub struct BasicNormalizer;

impl BasicNormalizer {
    /// Normalises a text. The result has single spaces between the words, and possibly one space at each end.
    pub fn normalize(self, text: &str) -> String {
        let text = without_brackets(&text.to_lowercase());
        with_single_spaces(&without_symbols(&text).to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_brackets_symbols_and_punctuation_are_normalised() {
        let normalize = |text| BasicNormalizer.normalize(text);
        assert_eq!(normalize("Grüße, Welt!"), "grüße welt ");
        assert_eq!(normalize("¿Qué (risas) tal?"), " qué tal ");
        assert_eq!(normalize("こんにちは。"), "こんにちは ");
        assert_eq!(normalize("ＡＢ\u{1f}c"), "ab c");
    }
}
