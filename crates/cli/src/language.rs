//! The language spoken, as people write it, or none.

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

    /// Understands `auto`, and whatever means a [`Language`].
    fn from_str(text: &str) -> Result<Self, UnknownLanguage> {
        if text.trim().eq_ignore_ascii_case("auto") { Ok(Self::Auto) } else { text.parse().map(Self::In) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_named_or_to_be_found() {
        assert_eq!((" AUTO ".parse(), "en-US".parse()), (Ok(Spoken::Auto), Ok(Spoken::In(Language::ENGLISH))));
        for unknown in ["", "klingon", "auto-en"] {
            assert!(unknown.parse::<Spoken>().is_err(), "{unknown:?}");
        }
    }
}
