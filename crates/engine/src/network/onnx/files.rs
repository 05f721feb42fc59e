//! Finds the files of an ONNX export.

use std::path::{Path, PathBuf};

use amanuensis_weights::Interface;

use crate::error::Error;

/// The file names of an export, without suffix and extension. A suffix names a variant, as in
/// `encoder_model_quantized.onnx`. Longer names come first, because `decoder_model` is also a prefix of
/// `decoder_model_merged`.
const NAMES: [&str; 4] = [MERGED, CACHED, FIRST, ENCODER];
const ENCODER: &str = "encoder_model";
const FIRST: &str = "decoder_model";
const CACHED: &str = "decoder_with_past_model";
const MERGED: &str = "decoder_model_merged";

/// The graphs of an export, and the directory of its JSON files.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) directory: PathBuf,
    pub(super) encoder: PathBuf,
    pub(super) decoder: DecoderFiles,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum DecoderFiles {
    /// Two graphs: one for the first tokens of a sequence, and one for the tokens that follow.
    Split { first: PathBuf, cached: PathBuf },
    /// One graph for all tokens of a sequence.
    Merged(PathBuf),
}

impl Files {
    /// Finds the graphs in a directory or in its subdirectory `onnx`.
    ///
    /// If `path` is a directory, the files without a suffix are used, and a split decoder (two graphs) is preferred
    /// to a merged one. If `path` is one of the files, its suffix selects the variant. A merged decoder is then used
    /// only if `path` is that file or there is no split decoder. The role of a decoder graph is recognised by its
    /// inputs, not by its file name.
    pub(super) fn find(path: &Path) -> Result<Self, Error> {
        let named = path.is_file().then(|| name_of(path)).flatten();
        let folders = match (&named, path.parent()) {
            (Some(_), Some(parent)) => vec![parent.to_owned()],
            _ => vec![path.to_owned(), path.join("onnx")],
        };
        let suffix = named.map_or("", |(_, suffix)| suffix);
        let missing = || Error::NoExport { path: path.to_owned(), suffix: suffix.to_owned() };
        let file = |name: &str| {
            let file = format!("{name}{suffix}.onnx");
            folders.iter().map(|folder| folder.join(&file)).find(|path| path.is_file())
        };
        let encoder = file(ENCODER).ok_or_else(missing)?;
        let decoder = |(name, usual_role): (&str, Role)| {
            let file = file(name)?;
            Some((Role::of(&file).unwrap_or(usual_role), file))
        };
        let names = [(FIRST, Role::First), (CACHED, Role::Cached), (MERGED, Role::Merged)];
        let mut decoders: Vec<(Role, PathBuf)> = names.into_iter().filter_map(decoder).collect();
        // Among decoders with the same role, the file that the user named is preferred.
        decoders.sort_by_key(|(_, file)| file != path);
        let with = |role| decoders.iter().find(|decoder| decoder.0 == role).map(|(_, file)| file.clone());
        let decoder = match (with(Role::First), with(Role::Cached), with(Role::Merged)) {
            (_, _, Some(merged)) if merged == path => DecoderFiles::Merged(merged),
            (Some(first), Some(cached), _) => DecoderFiles::Split { first, cached },
            (_, _, Some(merged)) => DecoderFiles::Merged(merged),
            _ => return Err(missing()),
        };
        let folder = encoder.parent().unwrap_or(Path::new("."));
        let has_config = |directory: &&Path| directory.join("config.json").is_file();
        let directory = folder.ancestors().take(2).find(has_config).unwrap_or(folder).to_owned();
        Ok(Self { directory, encoder, decoder })
    }
}

/// The role of a decoder graph: whether it runs the first tokens of a sequence, the tokens that follow, or both.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    First,
    Cached,
    Merged,
}

impl Role {
    /// Recognises the role by the inputs of the graph. Returns `None` if the file cannot be read. In that case, the
    /// error is reported when the file is loaded.
    fn of(path: &Path) -> Option<Self> {
        let inputs = Interface::read(path).ok()?.inputs;
        let has = |name: &str| inputs.iter().any(|input| input.name.starts_with(name));
        Some(match (has("use_cache_branch"), has("past_key_values.")) {
            (true, _) => Self::Merged,
            (false, true) => Self::Cached,
            (false, false) => Self::First,
        })
    }
}

/// Splits the file name of an export into one of [`NAMES`] and the suffix of the variant.
fn name_of(path: &Path) -> Option<(&'static str, &str)> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".onnx")?;
    NAMES.iter().find_map(|name| {
        let suffix = stem.strip_prefix(name)?;
        (suffix.is_empty() || suffix.starts_with('_')).then_some((*name, suffix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(files: &[&str], path: &str) -> Result<Files, String> {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let file = root.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        let relative = |path: PathBuf| path.strip_prefix(root.path()).unwrap().to_owned();
        let found = Files::find(&root.path().join(path)).map_err(|error| error.to_string())?;
        Ok(Files {
            directory: relative(found.directory),
            encoder: relative(found.encoder),
            decoder: match found.decoder {
                DecoderFiles::Merged(merged) => DecoderFiles::Merged(relative(merged)),
                DecoderFiles::Split { first, cached } => {
                    DecoderFiles::Split { first: relative(first), cached: relative(cached) }
                }
            },
        })
    }

    const ALL: [&str; 5] = [
        "config.json",
        "encoder_model.onnx",
        "decoder_model.onnx",
        "decoder_with_past_model.onnx",
        "decoder_model_merged.onnx",
    ];

    #[test]
    fn a_split_decoder_is_preferred_unless_the_merged_one_is_named() {
        let split =
            DecoderFiles::Split { first: "decoder_model.onnx".into(), cached: "decoder_with_past_model.onnx".into() };
        let merged = DecoderFiles::Merged("decoder_model_merged.onnx".into());
        for (path, decoder) in [("", &split), ("encoder_model.onnx", &split), ("decoder_model_merged.onnx", &merged)] {
            let files = find(&ALL, path).unwrap();
            assert_eq!((&files.decoder, files.encoder.to_str()), (decoder, Some("encoder_model.onnx")));
        }
        // Only one half of the split decoder exists, so the merged decoder is used.
        let files = find(&["encoder_model.onnx", "decoder_model.onnx", "decoder_model_merged.onnx"], "").unwrap();
        assert_eq!(files.decoder, merged);
    }

    #[test]
    fn naming_one_file_selects_the_variant() {
        let names = ["onnx/encoder_model.onnx", "onnx/encoder_model_q4.onnx", "onnx/decoder_model_merged_q4.onnx"];
        let files = find(&[names.as_slice(), &["config.json"]].concat(), "onnx/encoder_model_q4.onnx").unwrap();
        assert_eq!(files.directory, Path::new(""));
        assert_eq!(files.encoder, Path::new("onnx/encoder_model_q4.onnx"));
        assert_eq!(files.decoder, DecoderFiles::Merged("onnx/decoder_model_merged_q4.onnx".into()));
        let error = find(&names, "").unwrap_err();
        assert!(error.contains("decoder_model.onnx") && error.contains("encoder_model.onnx"), "{error}");
        let error = find(&["encoder_model_fp16.onnx"], "encoder_model_fp16.onnx").unwrap_err();
        assert!(error.contains("decoder_model_fp16.onnx"), "{error}");
        let error = find(&["model.bin"], "model.bin").unwrap_err();
        assert!(error.contains("encoder_model.onnx"), "{error}");
    }
}
