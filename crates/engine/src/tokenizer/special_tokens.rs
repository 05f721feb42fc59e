//! The ids of Whisper's special tokens.
//!
//! Most vocabularies list the special tokens by name. Weight files in ggml format contain the text tokens only, so
//! the special tokens are derived from the sizes of the model, by the rules of `whisper/tokenizer.py` in
//! openai-whisper.

use super::byte_alphabet::character_of;

/// The codes of Whisper's languages, in the order of their tokens. A vocabulary has tokens for the first 99
/// languages, or for all.
#[rustfmt::skip]
pub const LANGUAGE_CODES: [&str; 100] = [
    "en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt", "tr", "pl", "ca", "nl", "ar", "sv", "it", "id", "hi", "fi",
    "vi", "he", "uk", "el", "ms", "cs", "ro", "da", "hu", "ta", "no", "th", "ur", "hr", "bg", "lt", "la", "mi", "ml",
    "cy", "sk", "te", "fa", "lv", "bn", "sr", "az", "sl", "kn", "et", "mk", "br", "eu", "is", "hy", "ne", "mn", "bs",
    "kk", "sq", "sw", "gl", "mr", "pa", "si", "km", "sn", "yo", "so", "af", "oc", "ka", "be", "tg", "sd", "gu", "am",
    "yi", "lo", "uz", "fo", "ht", "ps", "tk", "nn", "mt", "sa", "lb", "my", "bo", "tl", "mg", "as", "tt", "haw", "ln",
    "ha", "ba", "jw", "su", "yue",
];

const END_OF_TEXT: &str = "<|endoftext|>";

/// The special tokens whose ids lie between the language tokens and the timestamp tokens.
const AFTER_LANGUAGES: [&str; 6] =
    ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"];

/// Ids of the special tokens. They are looked up by name, because the ids differ between vocabularies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpecialTokens {
    /// The end-of-text token.
    pub(crate) eot: u32,
    /// The start-of-transcript token.
    pub(crate) sot: u32,
    pub(crate) translate: u32,
    pub(crate) transcribe: u32,
    pub(crate) start_of_previous: u32,
    pub(crate) no_speech: u32,
    pub(crate) no_timestamps: u32,
    pub(crate) first_timestamp: u32,
}

impl SpecialTokens {
    /// Finds the special tokens in `tokens`, which contains the text of every id. If a token is missing, the error is
    /// its name.
    pub(super) fn find(tokens: &[String]) -> Result<Self, &'static str> {
        let find = |name: &str| id_of(tokens, name);
        let need = |name: &'static str| find(name).ok_or(name);
        let no_timestamps = need("<|notimestamps|>")?;
        // In older vocabularies, the no-speech token is called `nocaptions`.
        let no_speech = find("<|nospeech|>").map_or_else(|| need("<|nocaptions|>"), Ok)?;
        Ok(Self {
            eot: need(END_OF_TEXT)?,
            sot: need("<|startoftranscript|>")?,
            translate: need("<|translate|>")?,
            transcribe: need("<|transcribe|>")?,
            start_of_previous: need("<|startofprev|>")?,
            no_speech,
            no_timestamps,
            // Many vocabulary files do not contain the timestamp tokens, which follow the no-timestamps token.
            first_timestamp: find("<|0.00|>").unwrap_or(no_timestamps + 1),
        })
    }

    /// The language tokens in `tokens`, as `(code, id)`, sorted by id.
    pub(super) fn languages(&self, tokens: &[String]) -> Vec<(String, u32)> {
        let code_and_id = |id: u32| Some((language_code(tokens.get(id as usize)?)?.to_owned(), id));
        (self.sot + 1..self.translate).filter_map(code_and_id).collect()
    }
}

/// The highest id of a token with this text. `None` if there is no such token.
pub(super) fn id_of(tokens: &[String], text: &str) -> Option<u32> {
    tokens.iter().rposition(|token| token == text).map(|id| id as u32)
}

/// The language code in a language token: two or three lower-case letters between `<|` and `|>`. `None` for other
/// tokens.
fn language_code(token: &str) -> Option<&str> {
    let code = token.strip_prefix("<|")?.strip_suffix("|>")?;
    ((2..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase())).then_some(code)
}

/// Derives the texts of all tokens except the timestamps from the bytes of the text tokens. The texts are in GPT-2's
/// byte alphabet. The final `n_timestamps` ids are timestamps, and the number of all tokens but the languages is
/// known, so the number of languages follows from `n_vocab`.
///
/// The error describes why the numbers do not fit together.
pub(super) fn complete_tokens(
    text_tokens: &[Vec<u8>],
    n_vocab: usize,
    n_timestamps: usize,
) -> Result<Vec<String>, String> {
    // GPT-2's own list contains the end-of-text token; the multilingual list ends before it.
    let end = text_tokens.iter().rposition(|bytes| bytes == END_OF_TEXT.as_bytes());
    let n_text = end.unwrap_or(text_tokens.len());
    let others = n_text + 2 + AFTER_LANGUAGES.len() + n_timestamps;
    let languages = n_vocab.checked_sub(others).and_then(|n_languages| LANGUAGE_CODES.get(..n_languages));
    let Some(languages) = languages else {
        return Err(format!(
            "{n_text} text tokens and {n_timestamps} timestamps do not make up a vocabulary of {n_vocab}"
        ));
    };
    let texts = text_tokens[..n_text].iter().map(|bytes| bytes.iter().map(|byte| character_of(*byte)).collect());
    let start = [END_OF_TEXT, "<|startoftranscript|>"].map(str::to_owned);
    let languages = languages.iter().map(|code| format!("<|{code}|>"));
    Ok(texts.chain(start).chain(languages).chain(AFTER_LANGUAGES.map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    #[test]
    fn special_tokens_follow_the_text_tokens() {
        // The vocabulary: text tokens, end and start tokens, two languages, six other special tokens, and 11
        // timestamps. The list of text tokens may contain an empty token or the end-of-text token.
        for (text, n_text) in [(bytes(&["a", " b", ""]), 3), (bytes(&["a", " b", END_OF_TEXT]), 2)] {
            let tokens = complete_tokens(&text, n_text + 2 + 2 + 6 + 11, 11).unwrap();
            assert_eq!(tokens[..2], ["a", "\u{120}b"]);
            let expected = [END_OF_TEXT, "<|startoftranscript|>", "<|en|>", "<|zh|>", "<|translate|>"];
            assert_eq!(tokens[n_text..n_text + 5], expected);
            assert_eq!(tokens.last().unwrap(), "<|notimestamps|>");
            assert_eq!(tokens.len(), n_text + 10);
        }
    }

    #[test]
    fn sizes_that_do_not_fit_together_are_rejected() {
        let text = bytes(&["a"]);
        for n_vocab in [0, 19, 121] {
            let problem = complete_tokens(&text, n_vocab, 11).unwrap_err();
            assert!(problem.contains("1 text tokens and 11 timestamps"), "{problem}");
        }
        assert!(complete_tokens(&text, 20, 11).is_ok() && complete_tokens(&text, 120, 11).is_ok());
    }

    #[test]
    fn only_short_lower_case_names_are_language_codes() {
        assert_eq!(language_code("<|en|>"), Some("en"));
        assert_eq!(language_code("<|yue|>"), Some("yue"));
        for other in ["<|translate|>", "<|EN|>", "<|e|>", "en"] {
            assert_eq!(language_code(other), None, "{other}");
        }
    }
}
