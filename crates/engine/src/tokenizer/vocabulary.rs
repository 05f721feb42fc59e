//! The vocabulary of a model.
//!
//! Text tokens are byte sequences. They are written in the alphabet of GPT-2's byte-level byte-pair encoding, which
//! has a printable character for every byte.

use std::path::Path;
use std::sync::OnceLock;

use amanuensis_weights::Checkpoint;

use super::bpe::Bpe;
use super::byte_alphabet::byte_of;
use super::files::read_tokens;
use super::special_tokens::{SpecialTokens, complete_tokens, id_of};
use crate::error::Error;
use crate::model::{Config, FRAMES_PER_POSITION, NamedToken};

/// The distance between two mel frames in seconds. It is the same in every Whisper model.
const FRAME_SECONDS: f64 = 0.01;

/// The minimum number of tokens of a multilingual vocabulary. openai-whisper also recognises multilingual models by
/// this number, because English-only vocabularies contain language tokens too.
const MULTILINGUAL_SIZE: usize = 51_865;

/// The tokens of a model.
#[derive(Debug)]
pub struct Vocabulary {
    /// The text of each text token, in GPT-2's byte alphabet, and the name of each special token. The index is the
    /// token id.
    tokens: Vec<String>,
    n_vocab: usize,
    n_timestamps: usize,
    seconds_per_timestamp: f64,
    special: SpecialTokens,
    /// The language tokens as `(code, id)`, sorted by id.
    languages: Vec<(String, u32)>,
    /// The byte-pair encoder. It is created when the first text is encoded.
    bpe: OnceLock<Bpe>,
}

impl Vocabulary {
    /// Reads the vocabulary of a model from the vocabulary files in the directory of its weight file. If there are
    /// none, reads it from the weight file.
    ///
    /// # Errors
    /// If the model has no vocabulary, or one that belongs to another model.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let n_vocab = checkpoint.tensor("decoder.embed_tokens.weight")?.rows();
        let n_audio_ctx = checkpoint.tensor("encoder.embed_positions.weight")?.rows();
        let directory = checkpoint.directory();
        Self::read(directory, checkpoint.vocabulary(), n_vocab, n_audio_ctx, &Config::read(directory)?)
    }

    /// Reads the vocabulary of a model whose decoder has `n_vocab` outputs and whose encoder has `n_audio_ctx`
    /// positions. `in_weights` contains the text tokens in the weight file, if it has any. `config` serves to detect
    /// and reject a vocabulary of another model.
    pub(crate) fn read(
        directory: &Path,
        in_weights: Option<&[Vec<u8>]>,
        n_vocab: usize,
        n_audio_ctx: usize,
        config: &Config,
    ) -> Result<Self, Error> {
        let inconsistent = |problem| Error::Inconsistent { directory: directory.to_owned(), problem };
        let (file, tokens) = match (read_tokens(directory, n_vocab), in_weights) {
            (Err(Error::NoVocabulary { .. }), Some(text_tokens)) => {
                ("the weight file", complete_tokens(text_tokens, n_vocab, n_audio_ctx + 1).map_err(inconsistent)?)
            }
            (tokens, _) => tokens?,
        };
        check_against_config(config, &tokens, n_vocab, file).map_err(inconsistent)?;
        let missing = |token| Error::MissingToken { directory: directory.to_owned(), token };
        let special = SpecialTokens::find(&tokens).map_err(missing)?;
        let languages = special.languages(&tokens);
        // There is one timestamp for the start of each encoder position, and one for the end of the window.
        let n_timestamps = n_vocab.saturating_sub(special.first_timestamp as usize).min(n_audio_ctx + 1);
        if n_timestamps == 0 {
            return Err(inconsistent(format!("a decoder with {n_vocab} outputs has no room for timestamps")));
        }
        let seconds_per_timestamp = FRAMES_PER_POSITION as f64 * FRAME_SECONDS;
        Ok(Self { tokens, n_vocab, n_timestamps, seconds_per_timestamp, special, languages, bpe: OnceLock::new() })
    }

    /// The number of token ids.
    pub fn n_vocab(&self) -> usize {
        self.n_vocab
    }

    /// Whether the vocabulary is that of a multilingual model.
    pub fn is_multilingual(&self) -> bool {
        self.n_vocab >= MULTILINGUAL_SIZE
    }

    /// The codes of the languages that have a token, such as "en", "zh" and "yue".
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.languages.iter().map(|(code, _)| code.as_str())
    }

    /// Codes and ids of the language tokens, sorted by id.
    pub(crate) fn language_tokens(&self) -> &[(String, u32)] {
        &self.languages
    }

    pub(crate) fn special(&self) -> SpecialTokens {
        self.special
    }

    /// Whether a token is a timestamp token.
    pub fn is_timestamp(&self, token: u32) -> bool {
        token >= self.special.first_timestamp
    }

    /// The time of a timestamp token, in seconds from the start of the token's window. `None` for other tokens.
    pub fn timestamp(&self, token: u32) -> Option<f64> {
        let index = token.checked_sub(self.special.first_timestamp)?;
        ((index as usize) < self.n_timestamps).then(|| f64::from(index) * self.seconds_per_timestamp)
    }

    /// Ids and names of the special tokens, sorted by id. Timestamps are not included.
    pub fn special_tokens(&self) -> impl Iterator<Item = (u32, &str)> {
        let ids = self.special.eot..self.special.first_timestamp;
        let named = ids.map(|id| (id, self.tokens.get(id as usize).map_or("", String::as_str)));
        named.filter(|(_, name)| !name.is_empty())
    }

    /// The ids of all timestamp tokens.
    pub fn timestamps(&self) -> std::ops::Range<u32> {
        self.special.first_timestamp..self.special.first_timestamp + self.n_timestamps as u32
    }

    /// Whether a token is a text token.
    pub fn is_text(&self, token: u32) -> bool {
        token < self.special.eot
    }

    /// Converts tokens to text. Special tokens and timestamps are skipped. Bytes that are not valid UTF-8 become
    /// U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let mut bytes = Vec::new();
        for token in tokens {
            self.extend_bytes(*token, &mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A readable form of a token: its text, or the name of a special token such as `<|en|>` or `<|1.20|>`.
    pub fn label(&self, token: u32) -> String {
        match self.timestamp(token) {
            Some(seconds) => format!("<|{seconds:.2}|>"),
            None if self.is_text(token) => self.decode(&[token]),
            None => self.tokens.get(token as usize).cloned().unwrap_or_default(),
        }
    }

    /// Appends the bytes of a token's text, which may be an incomplete character. Special tokens and timestamps have
    /// no bytes.
    pub fn extend_bytes(&self, token: u32, bytes: &mut Vec<u8>) {
        let text = self.tokens.get(token as usize).filter(|_| self.is_text(token));
        for character in text.into_iter().flat_map(|text| text.chars()) {
            match byte_of(character) {
                Some(byte) => bytes.push(byte),
                // A character outside of the byte alphabet represents itself.
                None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }

    /// Converts a text to tokens. Most words need a space before them, because the model was trained with tokens that
    /// begin with a space.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let bytes_of = |id| {
            let mut bytes = Vec::new();
            self.extend_bytes(id, &mut bytes);
            (id, bytes)
        };
        let tokens = || (0..self.special.eot).map(bytes_of).filter(|(_, bytes)| !bytes.is_empty());
        self.bpe.get_or_init(|| Bpe::new(tokens())).encode(text)
    }
}

/// Checks a vocabulary against the token ids in the configuration and the number of tokens of the model. The error
/// describes the contradiction.
fn check_against_config(config: &Config, tokens: &[String], n_vocab: usize, file: &str) -> Result<(), String> {
    if let Some(size) = config.n_vocab.filter(|size| *size != n_vocab) {
        return Err(format!(
            "its configuration gives {size} tokens, but its decoder has {n_vocab} outputs: they belong to different models"
        ));
    }
    for NamedToken { file: config_file, token, id } in &config.named_tokens {
        if let Some(found) = id_of(tokens, token).filter(|found| u64::from(*found) != *id) {
            return Err(format!(
                "{token} has id {id} in {config_file}, but {found} in {file}: they belong to different models"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contents of a vocabulary file. Its tokens are in the same order as in real ones, but there are no
    /// timestamps. `<|nospeech|>` has its older name.
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
    fn special_tokens_are_found_by_name() {
        let vocabulary = read(&[("tokenizer.json", &tokenizer_json())], 25).unwrap();
        let expected = SpecialTokens {
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
    fn a_token_list_and_a_token_map_give_the_same_vocabulary() {
        let list = "a\n\u{120}b\n\u{e2}\u{124}\n\u{ac}\n<|endoftext|>\n<|startoftranscript|>\n<|en|>\n<|yue|>\n<|translate|>\n\
            <|transcribe|>\n<|startoflm|>\n<|startofprev|>\n<|nospeech|>\n<|notimestamps|>\n<|0.00|>\n";
        let from_list = read(&[("vocabulary.txt", list)], 25).unwrap();
        let from_map = read(&[("tokenizer.json", &tokenizer_json())], 25).unwrap();
        assert_eq!(from_list.special(), from_map.special());
        assert_eq!(from_list.decode(&[0, 1, 2, 3]), from_map.decode(&[0, 1, 2, 3]));
    }

    #[test]
    fn a_character_split_over_two_tokens_is_decoded() {
        let vocabulary = read(&[("tokenizer.json", &tokenizer_json())], 25).unwrap();
        // The bytes 0xE2 0x82 and 0xAC form the euro sign, split over two tokens.
        assert_eq!(vocabulary.decode(&[0, 1, 2, 3]), "a b\u{20ac}");
        assert_eq!(vocabulary.decode(&[2, 0]), "\u{fffd}a");
        assert_eq!(vocabulary.decode(&[14, 0, 4, 20, 99]), "a");
    }

    #[test]
    fn the_vocabulary_of_another_model_is_rejected() {
        let tokenizer = ("tokenizer.json", &*tokenizer_json());
        let sized = |size| read(&[tokenizer, ("config.json", &format!(r#"{{"vocab_size": {size}}}"#))], 25);
        assert!(sized(25).is_ok());
        let error = sized(26).unwrap_err().to_string();
        assert!(error.contains("its configuration gives 26 tokens, but its decoder has 25 outputs"), "{error}");
        for (key, token, id) in [
            ("eos_token_id", "<|endoftext|>", 4),
            ("decoder_start_token_id", "<|startoftranscript|>", 5),
            ("no_timestamps_token_id", "<|notimestamps|>", 13),
        ] {
            let config = |id| format!(r#"{{"{key}": {id}}}"#);
            let [own, other, list] = [config(id.to_string()), config((id + 1).to_string()), config(format!("[{id}]"))];
            for file in ["config.json", "generation_config.json"] {
                let error = read(&[tokenizer, (file, &other)], 25).unwrap_err().to_string();
                let problem = format!("{token} has id {} in {file}, but {id} in tokenizer.json", id + 1);
                assert!(error.contains(&problem), "{error}");
                for config in [&own, &list] {
                    assert!(read(&[tokenizer, (file, config)], 25).is_ok());
                }
            }
            // If both configuration files state an id, `generation_config.json` takes precedence.
            let both = [tokenizer, ("config.json", &other), ("generation_config.json", &own)];
            assert!(read(&both, 25).is_ok());
        }
    }

    #[test]
    fn the_error_names_what_is_missing() {
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
