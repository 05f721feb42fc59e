//! The option `--language`: the language spoken, or `auto`.

use std::str::FromStr;

use amanuensis_transcribe::{Language, UnknownLanguage};

/// The value of `--language`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LanguageChoice {
    /// Detect the language from the audio.
    Auto,
    /// The language that the user named.
    Known(Language),
}

impl LanguageChoice {
    /// The language that the user named, or `None` if it must be detected.
    pub fn language(self) -> Option<Language> {
        match self {
            Self::Auto => None,
            Self::Known(language) => Some(language),
        }
    }
}

impl FromStr for LanguageChoice {
    type Err = UnknownLanguage;

    /// Parses `auto`, or the code or name of a [`Language`].
    fn from_str(text: &str) -> Result<Self, UnknownLanguage> {
        if text.trim().eq_ignore_ascii_case("auto") { Ok(Self::Auto) } else { text.parse().map(Self::Known) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_option_accepts_auto_codes_and_names() {
        let parsed = (" AUTO ".parse(), "en-US".parse());
        assert_eq!(parsed, (Ok(LanguageChoice::Auto), Ok(LanguageChoice::Known(Language::ENGLISH))));
        for unknown in ["", "klingon", "auto-en"] {
            assert!(unknown.parse::<LanguageChoice>().is_err(), "{unknown:?}");
        }
    }
}
