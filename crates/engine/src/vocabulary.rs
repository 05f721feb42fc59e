//! Token ids and what they stand for, as the model's own files say.
//!
//! Text tokens are byte sequences in the alphabet of GPT-2's byte-level BPE, where each byte is a printable character.
//! Special tokens are looked up by their names, never by number: the ids differ from one vocabulary to the next.

mod files;

use std::path::Path;
use std::sync::OnceLock;

use amanuensis_weights::Checkpoint;

use self::files::read_tokens;
use crate::config::{Config, NamedToken};
use crate::encode::Encoder;
use crate::encoder::FRAMES_PER_POSITION;
use crate::{Error, implied};

/// Seconds between two mel frames, in every Whisper model.
const FRAME_SECONDS: f64 = 0.01;

/// The number of tokens from which on a model is multilingual, as the original implementation tells them apart:
/// English-only vocabularies hold the language tokens too.
const MULTILINGUAL_SIZE: usize = 51_865;

/// The tokens of a model.
#[derive(Debug)]
pub struct Vocabulary {
    /// The text of each id; for special tokens their names.
    tokens: Vec<String>,
    n_vocab: usize,
    n_timestamps: usize,
    seconds_per_timestamp: f64,
    special: Special,
    /// `(code, id)`, in the order of ids.
    languages: Vec<(String, u32)>,
    /// Made when the first text is encoded.
    encoder: OnceLock<Encoder>,
}

/// Ids of the tokens that steer Whisper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Special {
    pub(crate) eot: u32,
    pub(crate) sot: u32,
    pub(crate) translate: u32,
    pub(crate) transcribe: u32,
    pub(crate) start_of_previous: u32,
    pub(crate) no_speech: u32,
    pub(crate) no_timestamps: u32,
    pub(crate) first_timestamp: u32,
}

impl Vocabulary {
    /// The vocabulary of a model, from the files beside its weights or, without any, from the weight file.
    ///
    /// # Errors
    /// Where there is none, or it is another model's.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let n_vocab = checkpoint.tensor("decoder.embed_tokens.weight")?.rows();
        let n_audio_ctx = checkpoint.tensor("encoder.embed_positions.weight")?.rows();
        let directory = checkpoint.directory();
        Self::read(directory, checkpoint.vocabulary(), n_vocab, n_audio_ctx, &Config::read(directory)?)
    }

    /// Reads the vocabulary of a model whose decoder has `n_vocab` outputs and whose encoder gives `n_audio_ctx`
    /// positions for a window. `in_weights` are the text tokens in the weight file; by `config` one that belongs to
    /// another model is told.
    pub(crate) fn read(
        directory: &Path,
        in_weights: Option<&[Vec<u8>]>,
        n_vocab: usize,
        n_audio_ctx: usize,
        config: &Config,
    ) -> Result<Self, Error> {
        let inconsistent = |problem| Error::Inconsistent { directory: directory.to_owned(), problem };
        let (file, tokens) = match (read_tokens(directory, n_vocab), in_weights) {
            (Err(Error::NoVocabulary { .. }), Some(text)) => {
                ("the weight file", implied::tokens(text, n_vocab, n_audio_ctx + 1).map_err(inconsistent)?)
            }
            (tokens, _) => tokens?,
        };
        let find = |name: &str| tokens.iter().rposition(|token| token == name).map(|id| id as u32);
        if let Some(size) = config.n_vocab.filter(|size| *size != n_vocab) {
            return Err(inconsistent(format!(
                "it has {size} tokens by its configuration, its decoder {n_vocab} outputs: these belong to different models"
            )));
        }
        for NamedToken { file: by, token, id } in &config.named {
            if let Some(found) = find(token).filter(|found| u64::from(*found) != *id) {
                return Err(inconsistent(format!(
                    "{token} is {id} by {by}, {found} by {file}: these belong to different models"
                )));
            }
        }
        let need =
            |name: &'static str| find(name).ok_or(Error::MissingToken { directory: directory.to_owned(), token: name });
        let no_timestamps = need("<|notimestamps|>")?;
        let no_speech = find("<|nospeech|>").map_or_else(|| need("<|nocaptions|>"), Ok)?;
        let special = Special {
            eot: need("<|endoftext|>")?,
            sot: need("<|startoftranscript|>")?,
            translate: need("<|translate|>")?,
            transcribe: need("<|transcribe|>")?,
            start_of_previous: need("<|startofprev|>")?,
            no_speech,
            no_timestamps,
            first_timestamp: find("<|0.00|>").unwrap_or(no_timestamps + 1),
        };
        let languages = (special.sot + 1..special.translate)
            .filter_map(|id| Some((language_code(tokens.get(id as usize)?)?.to_owned(), id)))
            .collect();
        // One timestamp for each position of the encoder, and one for the end.
        let n_timestamps = n_vocab.saturating_sub(special.first_timestamp as usize).min(n_audio_ctx + 1);
        if n_timestamps == 0 {
            return Err(inconsistent(format!("a decoder of {n_vocab} outputs has no room for timestamps")));
        }
        let seconds_per_timestamp = FRAMES_PER_POSITION as f64 * FRAME_SECONDS;
        Ok(Self { tokens, n_vocab, n_timestamps, seconds_per_timestamp, special, languages, encoder: OnceLock::new() })
    }

    /// The number of token ids.
    pub fn n_vocab(&self) -> usize {
        self.n_vocab
    }

    /// Whether the model knows more than English.
    pub fn is_multilingual(&self) -> bool {
        self.n_vocab >= MULTILINGUAL_SIZE
    }

    /// The codes of the languages that the vocabulary has tokens for: "en", "zh", "yue".
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.languages.iter().map(|(code, _)| code.as_str())
    }

    /// Codes and ids of the languages.
    pub(crate) fn language_tokens(&self) -> &[(String, u32)] {
        &self.languages
    }

    pub(crate) fn special(&self) -> Special {
        self.special
    }

    /// Whether a token is a time.
    pub fn is_timestamp(&self, token: u32) -> bool {
        token >= self.special.first_timestamp
    }

    /// The time a token stands for, in seconds from the start of its window.
    pub fn timestamp(&self, token: u32) -> Option<f64> {
        let index = token.checked_sub(self.special.first_timestamp)?;
        ((index as usize) < self.n_timestamps).then(|| f64::from(index) * self.seconds_per_timestamp)
    }

    /// The tokens that steer the model, with their ids, in order; timestamps are none of them.
    pub fn special_tokens(&self) -> impl Iterator<Item = (u32, &str)> {
        let ids = self.special.eot..self.special.first_timestamp;
        let named = ids.map(|id| (id, self.tokens.get(id as usize).map_or("", String::as_str)));
        named.filter(|(_, name)| !name.is_empty())
    }

    /// The ids of all timestamps.
    pub fn timestamps(&self) -> std::ops::Range<u32> {
        self.special.first_timestamp..self.special.first_timestamp + self.n_timestamps as u32
    }

    /// Whether a token stands for text.
    pub fn is_text(&self, token: u32) -> bool {
        token < self.special.eot
    }

    /// The text of tokens. Special tokens and timestamps have none; bytes that are no UTF-8 become U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let mut bytes = Vec::new();
        for token in tokens {
            self.extend_bytes(*token, &mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What a token looks like to people: its text, or the name of a special token, `<|en|>`, `<|1.20|>`.
    pub fn label(&self, token: u32) -> String {
        match self.timestamp(token) {
            Some(seconds) => format!("<|{seconds:.2}|>"),
            None if self.is_text(token) => self.decode(&[token]),
            None => self.tokens.get(token as usize).cloned().unwrap_or_default(),
        }
    }

    /// Appends the bytes of a token's text, which need not be whole characters; special tokens and timestamps have none.
    pub fn extend_bytes(&self, token: u32, bytes: &mut Vec<u8>) {
        let text = self.tokens.get(token as usize).filter(|_| self.is_text(token));
        for character in text.into_iter().flat_map(|text| text.chars()) {
            match byte_of(character) {
                Some(byte) => bytes.push(byte),
                // A character outside the alphabet stands for itself.
                None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }

    /// The tokens of a text, as the model was taught them: most words have a space in front.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let bytes_of = |id| {
            let mut bytes = Vec::new();
            self.extend_bytes(id, &mut bytes);
            (id, bytes)
        };
        let tokens = || (0..self.special.eot).map(bytes_of).filter(|(_, bytes)| !bytes.is_empty());
        self.encoder.get_or_init(|| Encoder::new(tokens())).encode(text)
    }
}

/// The character that stands for a byte in GPT-2's alphabet.
pub(crate) fn character_of(byte: u8) -> char {
    let mut further = (0x100..).filter_map(char::from_u32);
    if is_printable(byte) {
        return char::from(byte);
    }
    let place = (0..byte).filter(|byte| !is_printable(*byte)).count();
    further.nth(place).expect("there are more characters than bytes")
}

/// Printable Latin-1, but the space.
fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// `<|xx|>` or `<|xxx|>` in lower case is a language.
fn language_code(token: &str) -> Option<&str> {
    let code = token.strip_prefix("<|")?.strip_suffix("|>")?;
    ((2..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase())).then_some(code)
}

/// The byte that a character of GPT-2's alphabet stands for: printable Latin-1 characters stand for themselves, the
/// other 68 bytes are, in order, the characters from U+0100 on.
fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    match u8::try_from(code) {
        Ok(byte) => Some(byte).filter(|byte| is_printable(*byte)),
        Err(_) => (0..=255).filter(|byte| !is_printable(*byte)).nth((code - 0x100) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vocabulary in the order of the real ones, without timestamps, `<|nospeech|>` under its older name.
    fn tokenizer_json() -> String {
        let vocab = r#"{"a": 0, "\u0120b": 1, "\u00e2\u0124": 2, "\u00ac": 3}"#;
        let specials = ["endoftext", "startoftranscript", "en", "yue", "translate", "transcribe", "startoflm"];
        let names = specials.iter().chain(&["startofprev", "nocaptions", "notimestamps"]);
        let added: Vec<_> =
            names.enumerate().map(|(i, n)| format!(r#"{{"id": {}, "content": "<|{n}|>"}}"#, i + 4)).collect();
        format!(r#"{{"model": {{"vocab": {vocab}}}, "added_tokens": [{}]}}"#, added.join(","))
    }

    fn read(files: &[(&str, &str)], n_vocab: usize) -> Result<Vocabulary, Error> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        Vocabulary::read(directory.path(), None, n_vocab, 10, &Config::read(directory.path())?)
    }

    #[test]
    fn ids_are_found_by_name() {
        let vocabulary = read(&[("tokenizer.json", &tokenizer_json())], 25).unwrap();
        let expected = Special {
            eot: 4,
            sot: 5,
            translate: 8,
            transcribe: 9,
            start_of_previous: 11,
            no_speech: 12,
            no_timestamps: 13,
            first_timestamp: 14,
        };
        assert_eq!(vocabulary.special(), expected);
        assert_eq!(vocabulary.languages().collect::<Vec<_>>(), ["en", "yue"]);
        assert_eq!(vocabulary.timestamps(), 14..25);
        assert!((vocabulary.timestamp(24).unwrap() - 0.2).abs() < 1e-12);
        assert_eq!((vocabulary.timestamp(25), vocabulary.timestamp(13)), (None, None));
        assert!(!vocabulary.is_multilingual());
        let labels = [1, 5, 15, 99].map(|token| vocabulary.label(token));
        assert_eq!(labels, [" b", "<|startoftranscript|>", "<|0.02|>", ""]);
    }

    #[test]
    fn a_list_gives_the_same_as_a_map() {
        let list = "a\n\u{120}b\n\u{e2}\u{124}\n\u{ac}\n<|endoftext|>\n<|startoftranscript|>\n<|en|>\n<|yue|>\n<|translate|>\n\
            <|transcribe|>\n<|startoflm|>\n<|startofprev|>\n<|nospeech|>\n<|notimestamps|>\n<|0.00|>\n";
        let from_list = read(&[("vocabulary.txt", list)], 25).unwrap();
        let from_map = read(&[("tokenizer.json", &tokenizer_json())], 25).unwrap();
        assert_eq!(from_list.special(), from_map.special());
        assert_eq!(from_list.decode(&[0, 1, 2, 3]), from_map.decode(&[0, 1, 2, 3]));
    }

    #[test]
    fn bytes_are_joined_before_they_are_read_as_text() {
        let vocabulary = read(&[("tokenizer.json", &tokenizer_json())], 25).unwrap();
        // 0xE2 0x82 and 0xAC are the euro sign, cut in two tokens.
        assert_eq!(vocabulary.decode(&[0, 1, 2, 3]), "a b\u{20ac}");
        assert_eq!(vocabulary.decode(&[2, 0]), "\u{fffd}a");
        assert_eq!(vocabulary.decode(&[14, 0, 4, 20, 99]), "a");
    }

    #[test]
    fn the_alphabet_covers_every_byte_once() {
        let mut bytes: Vec<u8> = (0..0x144).filter_map(char::from_u32).filter_map(byte_of).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(byte_of('\u{120}'), Some(b' '));
        assert_eq!(byte_of('\u{144}'), None);
        assert!((0..=255).all(|byte| byte_of(character_of(byte)) == Some(byte)));
    }

    #[test]
    fn another_models_vocabulary_is_refused() {
        let tokenizer = ("tokenizer.json", &*tokenizer_json());
        let sized = |size| read(&[tokenizer, ("config.json", &format!(r#"{{"vocab_size": {size}}}"#))], 25);
        assert!(sized(25).is_ok());
        let error = sized(26).unwrap_err().to_string();
        assert!(error.contains("26 tokens by its configuration, its decoder 25 outputs"), "{error}");
        for (key, token, id) in [
            ("eos_token_id", "<|endoftext|>", 4),
            ("decoder_start_token_id", "<|startoftranscript|>", 5),
            ("no_timestamps_token_id", "<|notimestamps|>", 13),
        ] {
            let config = |id| format!(r#"{{"{key}": {id}}}"#);
            let [own, other, list] = [config(id.to_string()), config((id + 1).to_string()), config(format!("[{id}]"))];
            for file in ["config.json", "generation_config.json"] {
                let error = read(&[tokenizer, (file, &other)], 25).unwrap_err().to_string();
                let problem = format!("{token} is {} by {file}, {id} by tokenizer.json", id + 1);
                assert!(error.contains(&problem), "{error}");
                for config in [&own, &list] {
                    assert!(read(&[tokenizer, (file, config)], 25).is_ok());
                }
            }
            // Both files may say so: the one for decoding is believed.
            let both = [tokenizer, ("config.json", &other), ("generation_config.json", &own)];
            assert!(read(&both, 25).is_ok());
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = read(&[], 25).unwrap_err().to_string();
        assert!(error.contains("tokenizer.json"), "{error}");
        let error = read(&[("vocab.json", r#"{"a": 0}"#)], 25).unwrap_err().to_string();
        assert!(error.contains("<|"), "{error}");
        let error = read(&[("tokenizer.json", &tokenizer_json())], 5).unwrap_err().to_string();
        assert!(error.contains("14 tokens"), "{error}");
        let error = read(&[("tokenizer.json", &tokenizer_json())], 14).unwrap_err().to_string();
        assert!(error.contains("no room for timestamps"), "{error}");
        let text = [b"a".to_vec()];
        let vocabulary = Vocabulary::read(Path::new("nowhere"), Some(&text), 20, 10, &Config::default()).unwrap();
        assert_eq!((vocabulary.timestamps(), vocabulary.decode(&[0])), (9..20, "a".to_owned()));
        let small = Vocabulary::read(Path::new("nowhere"), Some(&text), 15, 10, &Config::default());
        let error = small.unwrap_err().to_string();
        assert!(error.contains("do not make up a vocabulary of 15"), "{error}");
        let list = tempfile::tempdir().unwrap();
        std::fs::create_dir(list.path().join("vocabulary.txt")).unwrap();
        assert!(matches!(Vocabulary::read(list.path(), None, 25, 10, &Config::default()), Err(Error::Read { .. })));
    }
}
