//! Tokens that do not represent speech, such as brackets and music notes, as listed by openai-whisper
//! (`non_speech_tokens` in `whisper/tokenizer.py`). They are the default suppress list of a model without a
//! configuration file.

use super::vocabulary::Vocabulary;
use crate::model::Config;

const SYMBOLS: &str = "\"#()*+/:;<=>@[\\]^_`{|}~\u{300c}\u{300d}\u{300e}\u{300f}";
const SYMBOL_GROUPS: [&str; 18] =
    ["<<", ">>", "<<<", ">>>", "--", "---", "-(", "-[", "('", "(\"", "((", "))", "(((", ")))", "[[", "]]", "{{", "}}"];
/// Texts that consist of music notes. If the vocabulary has no token for a complete note, the token for its first one
/// or two bytes is suppressed, because no other text begins with these bytes.
const NOTES: [&str; 9] = [
    "\u{266a}\u{266a}",
    "\u{266a}\u{266a}\u{266a}",
    "\u{2669}",
    "\u{266a}",
    "\u{266b}",
    "\u{266c}",
    "\u{266d}",
    "\u{266e}",
    "\u{266f}",
];

/// A configuration with the suppress lists of openai-whisper, for a model without a configuration file.
pub(crate) fn default_config(vocabulary: &Vocabulary) -> Config {
    let mut suppress_at_begin = vocabulary.encode(" ");
    suppress_at_begin.push(vocabulary.special().eot);
    Config { suppress: vocabulary.non_speech_tokens(), suppress_at_begin, ..Config::default() }
}

impl Vocabulary {
    /// Tokens for text that is not spoken, such as brackets and music notes, sorted by id. Each is the token of a
    /// single symbol or group of symbols, with or without a space before it.
    pub fn non_speech_tokens(&self) -> Vec<u32> {
        // Dashes and apostrophes also occur inside words, so they are suppressed only after a space.
        let mut found: Vec<u32> = [" -", " '"].iter().filter_map(|text| self.encode(text).first().copied()).collect();
        let symbols = SYMBOLS.chars().map(String::from).chain(SYMBOL_GROUPS.map(String::from));
        let symbols = symbols.map(|symbol| (symbol, false));
        let notes = NOTES.iter().map(|note| ((*note).to_owned(), note.chars().count() == 1));
        for (symbol, allows_first_bytes) in symbols.chain(notes) {
            for text in [format!(" {symbol}"), symbol] {
                let tokens = self.encode(&text);
                if tokens.len() == 1 || allows_first_bytes {
                    found.extend(tokens.first());
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
