//! Whisper's normaliser for all languages but English.

use crate::characters::{with_single_spaces, without_brackets, without_symbols};

/// Lower case, without what is in brackets, a space for marks, symbols and punctuation; diacritics stay.
///
/// Combining marks that have no composed form become spaces too, which cuts words of Indic scripts in pieces; that is
/// how published figures are made.
#[derive(Debug, Clone, Copy, Default)]
pub struct BasicNormalizer;

impl BasicNormalizer {
    /// The text normalised: words with single spaces between them, and perhaps one before and behind.
    pub fn normalize(self, text: &str) -> String {
        let text = without_brackets(&text.to_lowercase());
        with_single_spaces(&without_symbols(&text).to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_made_comparable() {
        let normalize = |text| BasicNormalizer.normalize(text);
        assert_eq!(normalize("Grüße, Welt!"), "grüße welt ");
        assert_eq!(normalize("¿Qué (risas) tal?"), " qué tal ");
        assert_eq!(normalize("こんにちは。"), "こんにちは ");
        assert_eq!(normalize("ＡＢ\u{1f}c"), "ab c");
    }
}
