//! The languages of Whisper models, with their codes and names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A spoken language. It is displayed and serialised as the English name that `OpenAI` uses, such as `english`.
///
/// A language can be parsed from its code (`en`), its English name or an alias (`English`, `Flemish` for Dutch), its
/// name in the language itself (`Deutsch`), or a locale or language tag (`en-US`, `pt_BR`, `zh-Hant-TW`, `es-419`,
/// `de_CH.UTF-8`). Parsing ignores case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Language {
    code: &'static str,
    name: &'static str,
}

impl Language {
    /// English, the only language that every model supports.
    pub const ENGLISH: Self = Self::new("en", "english");

    const fn new(code: &'static str, name: &'static str) -> Self {
        Self { code, name }
    }

    /// The language code of Whisper models. Codes are ISO 639-1 codes of two letters, except `haw`, `yue`, and `jw`
    /// for Javanese.
    pub fn code(self) -> &'static str {
        self.code
    }

    /// The English name in lower case.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// All languages, in the order of their tokens in the vocabulary of Whisper models.
    pub fn all() -> impl Iterator<Item = Self> {
        LANGUAGES.iter().copied()
    }

    /// The language with this code; `None` if no language has this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::all().find(|language| language.code == code)
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Serialize for Language {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for Language {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The error for a name that is not a language of Whisper models.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a language that speech models know; give a code such as `en` or an English name such as `english`"
)]
pub struct UnknownLanguage(String);

impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(text: &str) -> Result<Self, UnknownLanguage> {
        let wanted = text.trim().to_lowercase();
        let alias = ALIASES.iter().chain(&NATIVE_NAMES).find(|(name, _)| *name == wanted).map(|(_, code)| *code);
        let found = Self::all().find(|language| language.name == wanted).or_else(|| {
            let codes = [Some(wanted.as_str()), alias, language_of_locale(&wanted)];
            codes.into_iter().flatten().find_map(Self::from_code)
        });
        found.ok_or_else(|| UnknownLanguage(text.chars().take(80).collect()))
    }
}

/// Returns the language code of a locale or language tag, which must be in lower case. The code may be followed by a
/// script (four letters), a region (two letters or three digits), and in POSIX locales an encoding after `.` and a
/// modifier after `@`. Returns `None` if anything else follows the code.
fn language_of_locale(locale: &str) -> Option<&str> {
    let tag = locale.split(['.', '@']).next().unwrap_or_default();
    let mut subtags = tag.split(['-', '_']).peekable();
    let language = subtags.next();
    let is_letters = |subtag: &str, n| subtag.len() == n && subtag.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_digits = |subtag: &str, n| subtag.len() == n && subtag.bytes().all(|byte| byte.is_ascii_digit());
    subtags.next_if(|subtag| is_letters(subtag, 4));
    subtags.next_if(|subtag| is_letters(subtag, 2) || is_digits(subtag, 3));
    if subtags.next().is_none() { language } else { None }
}

/// The code and the English name of each language, with the names and order of `openai-whisper`
/// (`whisper/tokenizer.py`).
#[rustfmt::skip]
const LANGUAGES: [Language; 100] = [
    Language::ENGLISH,
    Language::new("zh", "chinese"), Language::new("de", "german"), Language::new("es", "spanish"),
    Language::new("ru", "russian"), Language::new("ko", "korean"), Language::new("fr", "french"),
    Language::new("ja", "japanese"), Language::new("pt", "portuguese"), Language::new("tr", "turkish"),
    Language::new("pl", "polish"), Language::new("ca", "catalan"), Language::new("nl", "dutch"),
    Language::new("ar", "arabic"), Language::new("sv", "swedish"), Language::new("it", "italian"),
    Language::new("id", "indonesian"), Language::new("hi", "hindi"), Language::new("fi", "finnish"),
    Language::new("vi", "vietnamese"), Language::new("he", "hebrew"), Language::new("uk", "ukrainian"),
    Language::new("el", "greek"), Language::new("ms", "malay"), Language::new("cs", "czech"),
    Language::new("ro", "romanian"), Language::new("da", "danish"), Language::new("hu", "hungarian"),
    Language::new("ta", "tamil"), Language::new("no", "norwegian"), Language::new("th", "thai"),
    Language::new("ur", "urdu"), Language::new("hr", "croatian"), Language::new("bg", "bulgarian"),
    Language::new("lt", "lithuanian"), Language::new("la", "latin"), Language::new("mi", "maori"),
    Language::new("ml", "malayalam"), Language::new("cy", "welsh"), Language::new("sk", "slovak"),
    Language::new("te", "telugu"), Language::new("fa", "persian"), Language::new("lv", "latvian"),
    Language::new("bn", "bengali"), Language::new("sr", "serbian"), Language::new("az", "azerbaijani"),
    Language::new("sl", "slovenian"), Language::new("kn", "kannada"), Language::new("et", "estonian"),
    Language::new("mk", "macedonian"), Language::new("br", "breton"), Language::new("eu", "basque"),
    Language::new("is", "icelandic"), Language::new("hy", "armenian"), Language::new("ne", "nepali"),
    Language::new("mn", "mongolian"), Language::new("bs", "bosnian"), Language::new("kk", "kazakh"),
    Language::new("sq", "albanian"), Language::new("sw", "swahili"), Language::new("gl", "galician"),
    Language::new("mr", "marathi"), Language::new("pa", "punjabi"), Language::new("si", "sinhala"),
    Language::new("km", "khmer"), Language::new("sn", "shona"), Language::new("yo", "yoruba"),
    Language::new("so", "somali"), Language::new("af", "afrikaans"), Language::new("oc", "occitan"),
    Language::new("ka", "georgian"), Language::new("be", "belarusian"), Language::new("tg", "tajik"),
    Language::new("sd", "sindhi"), Language::new("gu", "gujarati"), Language::new("am", "amharic"),
    Language::new("yi", "yiddish"), Language::new("lo", "lao"), Language::new("uz", "uzbek"),
    Language::new("fo", "faroese"), Language::new("ht", "haitian creole"), Language::new("ps", "pashto"),
    Language::new("tk", "turkmen"), Language::new("nn", "nynorsk"), Language::new("mt", "maltese"),
    Language::new("sa", "sanskrit"), Language::new("lb", "luxembourgish"), Language::new("my", "myanmar"),
    Language::new("bo", "tibetan"), Language::new("tl", "tagalog"), Language::new("mg", "malagasy"),
    Language::new("as", "assamese"), Language::new("tt", "tatar"), Language::new("haw", "hawaiian"),
    Language::new("ln", "lingala"), Language::new("ha", "hausa"), Language::new("ba", "bashkir"),
    Language::new("jw", "javanese"), Language::new("su", "sundanese"), Language::new("yue", "cantonese"),
];

/// Additional English names, each with the code of its language.
const ALIASES: [(&str, &str); 12] = [
    ("burmese", "my"),
    ("valencian", "ca"),
    ("flemish", "nl"),
    ("haitian", "ht"),
    ("letzeburgesch", "lb"),
    ("pushto", "ps"),
    ("panjabi", "pa"),
    ("moldavian", "ro"),
    ("moldovan", "ro"),
    ("sinhalese", "si"),
    ("castilian", "es"),
    ("mandarin", "zh"),
];

/// Names of the most frequently transcribed languages in the language itself, each with the code of its language.
const NATIVE_NAMES: [(&str, &str); 24] = [
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
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_name_and_alias_is_unique_and_parses() {
        let mut known = HashSet::new();
        for language in Language::all() {
            assert!(known.insert(language.code) && known.insert(language.name), "{language}");
            assert_eq!(language.code.parse(), Ok(language));
            assert_eq!(language.name.to_uppercase().parse(), Ok(language));
        }
        for (alias, code) in ALIASES.into_iter().chain(NATIVE_NAMES) {
            assert!(known.insert(alias), "{alias}");
            assert_eq!(alias.parse().map(Language::code), Ok(code));
        }
        assert_eq!(Language::all().count(), 100);
    }

    #[test]
    fn languages_are_in_the_order_of_the_vocabulary() {
        let codes: Vec<_> = Language::all().map(Language::code).collect();
        assert_eq!(codes[..5], ["en", "zh", "de", "es", "ru"]);
        assert_eq!(codes[97..], ["jw", "su", "yue"]);
        assert_eq!(codes, amanuensis_engine::LANGUAGE_CODES);
    }

    #[test]
    fn native_names_locales_and_language_tags_parse() {
        for (text, code) in [(" Deutsch ", "de"), ("РУССКИЙ", "ru"), ("en-US", "en"), ("zh-Hant-TW", "zh")] {
            assert_eq!(text.parse().map(Language::code), Ok(code), "{text}");
        }
        for (text, code) in [("pt_BR", "pt"), ("de_CH.UTF-8", "de"), ("Haitian Creole", "ht"), ("yue", "yue")] {
            assert_eq!(text.parse().map(Language::code), Ok(code), "{text}");
        }
        for (text, code) in [("es-419", "es"), ("sr-Latn", "sr"), ("sr_RS@latin", "sr"), ("no-NO", "no")] {
            assert_eq!(text.parse().map(Language::code), Ok(code), "{text}");
        }
    }

    #[test]
    fn unknown_names_and_malformed_tags_are_errors() {
        for text in ["", "e", "klingon", "xx-US", "-", "-en", "auto", "английский"] {
            assert!(text.parse::<Language>().is_err(), "{text}");
        }
        for text in ["no-way", "en-", "en-U1", "en-12", "zh-TW-Hant", "de-ÄÖ", "it-is-so", "so_longer", "en--US"] {
            assert!(text.parse::<Language>().is_err(), "{text}");
        }
        let message = "klingon".parse::<Language>().unwrap_err().to_string();
        assert!(message.contains("klingon") && message.contains("english"), "{message}");
    }
}
