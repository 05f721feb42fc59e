//! The JSON configuration files in the directory of a model's weights, as written by `CTranslate2` and Hugging Face.

use std::path::Path;

use serde_json::Value;

use crate::error::Error;

/// The settings in `config.json` and `generation_config.json`. A missing list is empty.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// Whether at least one of the two files exists.
    pub(crate) exists: bool,
    /// Tokens that must never be sampled.
    pub(crate) suppress: Vec<u32>,
    /// Tokens that must not be the first sampled token.
    pub(crate) suppress_at_begin: Vec<u32>,
    /// The number of attention heads. It is needed if the weight file does not state it.
    pub(crate) encoder_heads: Option<usize>,
    pub(crate) decoder_heads: Option<usize>,
    /// This field and the next three are sizes of the model. They are needed only if the ONNX graphs do not state
    /// these sizes.
    pub(crate) n_mels: Option<usize>,
    pub(crate) n_audio_ctx: Option<usize>,
    pub(crate) n_text_ctx: Option<usize>,
    pub(crate) n_vocab: Option<usize>,
    /// The cross-attention heads whose attention follows the speech, as `(layer, head)`.
    pub(crate) alignment_heads: Vec<(usize, usize)>,
    /// The ids of special tokens according to the configuration. If the vocabulary has other ids for them, it belongs
    /// to another model.
    pub(crate) named_tokens: Vec<NamedToken>,
}

/// The id that a configuration file gives for a special token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NamedToken {
    pub(crate) file: &'static str,
    pub(crate) token: &'static str,
    pub(crate) id: u64,
}

/// The configuration files in order of precedence: settings in the first file override those in the second.
const FILES: [&str; 2] = ["generation_config.json", "config.json"];

/// The configuration keys that contain the id of a special token, each with the name of the token.
const NAMED_TOKEN_KEYS: [(&str, &str); 3] = [
    ("eos_token_id", "<|endoftext|>"),
    ("decoder_start_token_id", "<|startoftranscript|>"),
    ("no_timestamps_token_id", "<|notimestamps|>"),
];

impl Config {
    /// Reads the configuration files in `directory`. A file that does not exist counts as empty.
    pub(crate) fn read(directory: &Path) -> Result<Self, Error> {
        let [generation, model] = FILES.map(|file| read_json(&directory.join(file)));
        let files = [generation?, model?];
        let find = |names: &[&str]| {
            files
                .iter()
                .flatten()
                .find_map(|file| names.iter().find_map(|name| file.get(*name).filter(|v| !v.is_null())))
        };
        let tokens = |names: &[&str]| {
            let list = find(names).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(|id| u32::try_from(id.as_u64()?).ok()).collect()
        };
        let count = |name: &str| find(&[name]).and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
        let pair = |pair: &Value| {
            let [layer, head] = pair.as_array()?.as_slice() else { return None };
            Some((usize::try_from(layer.as_u64()?).ok()?, usize::try_from(head.as_u64()?).ok()?))
        };
        let named = |(key, token): (&str, &'static str)| {
            let ids = files.iter().map(|file| file.as_ref()?.get(key)?.as_u64());
            FILES.into_iter().zip(ids).find_map(|(file, id)| Some(NamedToken { file, token, id: id? }))
        };
        let heads = find(&["alignment_heads"]).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Ok(Self {
            exists: files.iter().any(Option::is_some),
            alignment_heads: heads.iter().filter_map(pair).collect(),
            suppress: tokens(&["suppress_tokens", "suppress_ids"]),
            suppress_at_begin: tokens(&["begin_suppress_tokens", "suppress_ids_begin"]),
            encoder_heads: count("encoder_attention_heads"),
            decoder_heads: count("decoder_attention_heads"),
            n_mels: count("num_mel_bins"),
            n_audio_ctx: count("max_source_positions"),
            n_text_ctx: count("max_target_positions"),
            n_vocab: count("vocab_size"),
            named_tokens: NAMED_TOKEN_KEYS.into_iter().filter_map(named).collect(),
        })
    }
}

/// Parses a JSON file. Returns `None` if it does not exist.
pub(crate) fn read_json(path: &Path) -> Result<Option<Value>, Error> {
    let Some(bytes) = read_if_exists(path)? else { return Ok(None) };
    let malformed = |problem: String| Error::Malformed { path: path.to_owned(), problem };
    let value = serde_json::from_slice(&bytes).map_err(|error| malformed(format!("it is not JSON ({error})")))?;
    Ok(Some(value))
}

/// Reads a file. Returns `None` if it does not exist.
pub(crate) fn read_if_exists(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_of(files: &[(&str, &str)]) -> Result<Config, Error> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        Config::read(directory.path())
    }

    #[test]
    fn configurations_of_ctranslate2_and_hugging_face_are_read() {
        let ctranslate2 = config_of(&[(
            "config.json",
            r#"{"suppress_ids": [1, 2], "suppress_ids_begin": [220, 50257], "alignment_heads": [[3, 1], [5, 0]]}"#,
        )]);
        let hugging_face = config_of(&[
            ("config.json", r#"{"suppress_tokens": null, "encoder_attention_heads": 8, "decoder_attention_heads": 6}"#),
            (
                "generation_config.json",
                r#"{"suppress_tokens": [1, 2], "begin_suppress_tokens": [220, 50257], "alignment_heads": [[3, 1], [5, 0]]}"#,
            ),
        ]);
        let lists = Config {
            exists: true,
            suppress: vec![1, 2],
            suppress_at_begin: vec![220, 50257],
            alignment_heads: vec![(3, 1), (5, 0)],
            ..Config::default()
        };
        assert_eq!(ctranslate2.unwrap(), lists);
        assert_eq!(hugging_face.unwrap(), Config { encoder_heads: Some(8), decoder_heads: Some(6), ..lists });
        assert_eq!(config_of(&[]).unwrap(), Config::default());
        assert!(config_of(&[("config.json", "{}")]).unwrap().exists);
    }

    #[test]
    fn the_error_names_the_damaged_file() {
        let error = config_of(&[("config.json", "{\"suppress_ids\": [1, ")]).unwrap_err().to_string();
        assert!(error.contains("config.json is damaged"), "{error}");
    }

    #[test]
    fn invalid_values_are_ignored() {
        let config = config_of(&[(
            "config.json",
            r#"{"suppress_ids": [-1, 7, "x", 99999999999], "decoder_attention_heads": -3, "alignment_heads": [[1], 2, [0, 4], [-1, 0]]}"#,
        )]);
        let expected = Config { exists: true, suppress: vec![7], alignment_heads: vec![(0, 4)], ..Config::default() };
        assert_eq!(config.unwrap(), expected);
    }
}
