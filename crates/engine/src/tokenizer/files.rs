//! Reads the vocabulary files in the directory of the weight file.

use std::path::Path;

use serde_json::Value;

use crate::error::Error;
use crate::model::{read_if_exists, read_json};

/// The maximum number of tokens. Larger ids are ignored, so that a damaged file cannot cause an allocation of
/// gigabytes. The largest Whisper vocabulary has 51,866 tokens.
const MAX_TOKENS: usize = 1 << 20;

/// Reads the text of every token id from the first vocabulary file that exists. The token lists of `CTranslate2` are
/// tried first, then the files of Hugging Face, which map texts to ids. Also returns the name of the file.
pub(super) fn read_tokens(directory: &Path, n_vocab: usize) -> Result<(&'static str, Vec<String>), Error> {
    let json = |name: &str| read_json(&directory.join(name));
    let mut tokens = Tokens { texts: Vec::new() };
    let file = if let Some(list) = json("vocabulary.json")? {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        tokens.texts = list.iter().map(|token| token.as_str().unwrap_or_default().to_owned()).collect();
        "vocabulary.json"
    } else if let Some(bytes) = read_if_exists(&directory.join("vocabulary.txt"))? {
        // There is one token per line. Empty lines count, because a token may be empty.
        tokens.texts = String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
        "vocabulary.txt"
    } else if let Some(file) = json("tokenizer.json")? {
        tokens.add_ids(file.pointer("/model/vocab"));
        tokens.add_specials(file.get("added_tokens"));
        "tokenizer.json"
    } else if let Some(file) = json("vocab.json")? {
        tokens.add_ids(Some(&file));
        tokens.add_ids(json("added_tokens.json")?.as_ref());
        "vocab.json"
    } else {
        let looked_for = "vocabulary.json, vocabulary.txt, tokenizer.json, vocab.json";
        return Err(Error::NoVocabulary { directory: directory.to_owned(), looked_for });
    };
    if tokens.texts.len() > n_vocab {
        let problem = format!(
            "{file} has {} tokens, but the decoder has {n_vocab} outputs: the file belongs to another model",
            tokens.texts.len()
        );
        return Err(Error::Inconsistent { directory: directory.to_owned(), problem });
    }
    Ok((file, tokens.texts))
}

struct Tokens {
    /// The text of each token. The index is the token id.
    texts: Vec<String>,
}

impl Tokens {
    fn set(&mut self, id: Option<u64>, text: &str) {
        let Some(id) = id.and_then(|id| usize::try_from(id).ok()).filter(|id| *id < MAX_TOKENS) else { return };
        if self.texts.len() <= id {
            self.texts.resize(id + 1, String::new());
        }
        text.clone_into(&mut self.texts[id]);
    }

    /// Adds the tokens of a JSON object that maps texts to ids.
    fn add_ids(&mut self, object: Option<&Value>) {
        for (text, id) in object.and_then(Value::as_object).into_iter().flatten() {
            self.set(id.as_u64(), text);
        }
    }

    /// Adds the tokens of a JSON list of objects with `id` and `content`.
    fn add_specials(&mut self, list: Option<&Value>) {
        for token in list.and_then(Value::as_array).into_iter().flatten() {
            if let Some(text) = token.get("content").and_then(Value::as_str) {
                self.set(token.get("id").and_then(Value::as_u64), text);
            }
        }
    }
}
