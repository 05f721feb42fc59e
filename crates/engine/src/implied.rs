//! What a model's file leaves out because every Whisper has it: ggml files hold the bytes of the text tokens and nothing
//! else, no special tokens and no lists of tokens that are never sampled. Both follow from the text tokens by the rules
//! of the original implementation (`whisper/tokenizer.py`).

use crate::Vocabulary;
use crate::config::Config;
use crate::vocabulary::character_of;

/// The codes of Whisper's languages, in the order of their tokens. Vocabularies have the first 99, or all.
#[rustfmt::skip]
pub const LANGUAGES: [&str; 100] = [
    "en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt", "tr", "pl", "ca", "nl", "ar", "sv", "it", "id", "hi", "fi",
    "vi", "he", "uk", "el", "ms", "cs", "ro", "da", "hu", "ta", "no", "th", "ur", "hr", "bg", "lt", "la", "mi", "ml",
    "cy", "sk", "te", "fa", "lv", "bn", "sr", "az", "sl", "kn", "et", "mk", "br", "eu", "is", "hy", "ne", "mn", "bs",
    "kk", "sq", "sw", "gl", "mr", "pa", "si", "km", "sn", "yo", "so", "af", "oc", "ka", "be", "tg", "sd", "gu", "am",
    "yi", "lo", "uz", "fo", "ht", "ps", "tk", "nn", "mt", "sa", "lb", "my", "bo", "tl", "mg", "as", "tt", "haw", "ln",
    "ha", "ba", "jw", "su", "yue",
];

const END: &str = "<|endoftext|>";

/// What stands between the languages and the timestamps.
const AFTER_LANGUAGES: [&str; 6] =
    ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"];

/// The texts of all tokens but timestamps, from the bytes of the text tokens, in the alphabet of GPT-2. `n_timestamps`
/// are left of `n_vocab` for times; `Err` says why there is no such vocabulary.
pub(crate) fn tokens(text: &[Vec<u8>], n_vocab: usize, n_timestamps: usize) -> Result<Vec<String>, String> {
    // GPT-2's list has the end itself, others stop before it.
    let n_text = text.iter().rposition(|bytes| bytes == END.as_bytes()).unwrap_or(text.len());
    let others = n_text + 2 + AFTER_LANGUAGES.len() + n_timestamps;
    let languages = n_vocab.checked_sub(others).and_then(|n_languages| LANGUAGES.get(..n_languages));
    let Some(languages) = languages else {
        return Err(format!("{n_text} text tokens and {n_timestamps} times do not make up a vocabulary of {n_vocab}"));
    };
    let texts = text[..n_text].iter().map(|bytes| bytes.iter().map(|byte| character_of(*byte)).collect());
    let start = [END, "<|startoftranscript|>"].map(str::to_owned);
    let languages = languages.iter().map(|code| format!("<|{code}|>"));
    Ok(texts.chain(start).chain(languages).chain(AFTER_LANGUAGES.map(str::to_owned)).collect())
}

/// Signs that stand for no speech.
const SIGNS: &str = "\"#()*+/:;<=>@[\\]^_`{|}~\u{300c}\u{300d}\u{300e}\u{300f}";
const SIGN_GROUPS: [&str; 18] =
    ["<<", ">>", "<<<", ">>>", "--", "---", "-(", "-[", "('", "(\"", "((", "))", "(((", ")))", "[[", "]]", "{{", "}}"];
/// Notes, of which a vocabulary may only have the first byte or two: those are enough.
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

impl Config {
    /// The lists of the original implementation, for a model that has no configuration.
    pub(crate) fn implied(vocabulary: &Vocabulary) -> Self {
        let mut suppress_at_begin = vocabulary.encode(" ");
        suppress_at_begin.push(vocabulary.special().eot);
        Self { suppress: vocabulary.non_speech_tokens(), suppress_at_begin, ..Self::default() }
    }
}

impl Vocabulary {
    /// Tokens that stand for what is not spoken - brackets, notes and the like -, as the original implementation finds them:
    /// those of one sign or group of signs, with a space before it or without. In order.
    pub fn non_speech_tokens(&self) -> Vec<u32> {
        // Dashes and apostrophes are heard inside a word, but not before one.
        let mut found: Vec<u32> = [" -", " '"].iter().filter_map(|text| self.encode(text).first().copied()).collect();
        let signs = SIGNS.chars().map(String::from).chain(SIGN_GROUPS.map(String::from)).map(|sign| (sign, false));
        let notes = NOTES.iter().map(|note| ((*note).to_owned(), note.chars().count() == 1));
        for (sign, may_be_cut) in signs.chain(notes) {
            for text in [format!(" {sign}"), sign] {
                let tokens = self.encode(&text);
                if tokens.len() == 1 || may_be_cut {
                    found.extend(tokens.first());
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    #[test]
    fn special_tokens_follow_the_text() {
        // Text, end and start, two languages, six others; a list may hold an empty token, or the end itself.
        for (text, n_text) in [(bytes(&["a", " b", ""]), 3), (bytes(&["a", " b", END]), 2)] {
            let tokens = tokens(&text, n_text + 2 + 2 + 6 + 11, 11).unwrap();
            assert_eq!(tokens[..2], ["a", "\u{120}b"]);
            assert_eq!(tokens[n_text..n_text + 5], [END, "<|startoftranscript|>", "<|en|>", "<|zh|>", "<|translate|>"]);
            assert_eq!(tokens.last().unwrap(), "<|notimestamps|>");
            assert_eq!(tokens.len(), n_text + 10);
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let text = bytes(&["a"]);
        for n_vocab in [0, 19, 121] {
            let problem = tokens(&text, n_vocab, 11).unwrap_err();
            assert!(problem.contains("1 text tokens and 11 times"), "{problem}");
        }
        assert!(tokens(&text, 20, 11).is_ok() && tokens(&text, 120, 11).is_ok());
    }
}
