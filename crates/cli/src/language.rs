//! The language spoken, as people write it.

use std::str::FromStr;

use amanuensis_transcribe::{Language, UnknownLanguage};

/// The language spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    Auto,
    In(Language),
}

impl FromStr for Spoken {
    type Err = UnknownLanguage;

    /// Understands `auto`, a code, an English name, the language's own name, and a locale such as `en-US` or `pt_BR`.
    fn from_str(text: &str) -> Result<Self, UnknownLanguage> {
        let wanted = text.trim().to_lowercase();
        if wanted == "auto" {
            return Ok(Self::Auto);
        }
        let own_name =
            OWN_NAMES.iter().find(|(name, _)| *name == wanted).and_then(|(_, code)| Language::from_code(code));
        let primary = || wanted.split_once(['-', '_']).and_then(|(primary, _)| Language::from_code(primary));
        text.parse().or_else(|unknown| own_name.or_else(primary).ok_or(unknown)).map(Self::In)
    }
}

/// What the speakers of a language call it, with its code: of the languages most spoken and most transcribed.
const OWN_NAMES: [(&str, &str); 24] = [
    ("deutsch", "de"),
    ("español", "es"),
    ("français", "fr"),
    ("italiano", "it"),
    ("português", "pt"),
    ("nederlands", "nl"),
    ("polski", "pl"),
    ("čeština", "cs"),
    ("magyar", "hu"),
    ("română", "ro"),
    ("svenska", "sv"),
    ("dansk", "da"),
    ("norsk", "no"),
    ("suomi", "fi"),
    ("türkçe", "tr"),
    ("ελληνικά", "el"),
    ("русский", "ru"),
    ("українська", "uk"),
    ("العربية", "ar"),
    ("עברית", "he"),
    ("हिन्दी", "hi"),
    ("中文", "zh"),
    ("日本語", "ja"),
    ("한국어", "ko"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Option<&'static str> {
        match text.parse() {
            Ok(Spoken::In(language)) => Some(language.code()),
            Ok(Spoken::Auto) => Some("auto"),
            Err(_) => None,
        }
    }

    #[test]
    fn languages_have_codes_and_names() {
        for (text, expected) in
            [("AUTO", "auto"), ("de", "de"), ("German", "de"), (" Deutsch ", "de"), ("РУССКИЙ", "ru")]
        {
            assert_eq!(code(text), Some(expected), "{text}");
        }
        for unknown in ["", "klingon", "-", "-en"] {
            assert_eq!(code(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn of_a_locale_the_language_counts() {
        for (text, expected) in [("en-US", "en"), ("pt_BR", "pt"), ("zh-Hant-TW", "zh"), ("de_CH.UTF-8", "de")] {
            assert_eq!(code(text), Some(expected), "{text}");
        }
        assert_eq!(code("xx-US"), None);
    }

    #[test]
    fn every_own_name_is_of_one_language() {
        for (name, expected) in OWN_NAMES {
            assert_eq!(code(name), Some(expected));
            assert_eq!(OWN_NAMES.iter().filter(|(other, _)| *other == name).count(), 1, "{name}");
            assert!(name.parse::<Language>().is_err(), "{name} needs no entry");
        }
    }
}
