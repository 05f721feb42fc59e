//! Reads the manifest of an evaluation: a list of recordings and their reference texts.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use amanuensis_transcribe::Language;
use serde::Deserialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::options::language::LanguageChoice;

/// One recording that the manifest lists.
#[derive(Debug, PartialEq, Eq)]
pub struct Clip {
    /// The unique id of the recording. It is a valid file name.
    pub id: String,
    /// The path of the recording as written in the manifest.
    pub file: String,
    /// The path of the recording, usable from the current directory.
    pub path: PathBuf,
    /// The language spoken, or `None` if the manifest does not name it.
    pub language: Option<Language>,
    /// The spoken text, or `None` if the manifest does not contain the complete text.
    pub reference: Option<String>,
}

/// The fields that are read from a line of the manifest. All other fields of the line are ignored.
#[derive(Deserialize)]
struct Entry {
    id: String,
    file: String,
    language: Option<String>,
    reference: Option<String>,
    #[serde(default)]
    prefix_of_reference: Value,
}

/// Reads the manifest, which is the file at the path `manifest`.
pub fn read(manifest: &Path) -> Result<Vec<Clip>, Failure> {
    let name = manifest.display();
    let text = fs::read_to_string(manifest)
        .map_err(|error| Failure::Failed(format!("cannot read the manifest {name}: {error}")))?;
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let clips = parse(&text, folder)
        .map_err(|(line, reason)| Failure::Failed(format!("the manifest {name}, line {line}: {reason}")))?;
    if clips.is_empty() { Err(Failure::Failed(format!("the manifest {name} names no recording"))) } else { Ok(clips) }
}

/// Parses the text of a manifest. Paths in the text are relative to the directory `folder`. For an invalid manifest,
/// the error holds the number of the first invalid line and the reason.
fn parse(text: &str, folder: &Path) -> Result<Vec<Clip>, (usize, String)> {
    let mut ids = HashSet::new();
    let mut clips = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let clip = clip(line, folder).map_err(|reason| (index + 1, reason))?;
        if !ids.insert(clip.id.clone()) {
            return Err((index + 1, format!("the id {:?} is used twice", clip.id)));
        }
        clips.push(clip);
    }
    Ok(clips)
}

fn clip(line: &str, folder: &Path) -> Result<Clip, String> {
    let entry: Entry = serde_json::from_str(line).map_err(|error| {
        // Each line is parsed on its own, so serde_json always reports line 1. That line number is removed.
        let error = error.to_string();
        error.replace(" at line 1 column", " at column")
    })?;
    if entry.id.is_empty()
        || entry.id.starts_with('.')
        || entry.id.contains(|c: char| "/\\:".contains(c) || c.is_control())
    {
        return Err(format!("the id {:?} is not a valid file name", entry.id));
    }
    if entry.file.is_empty() {
        return Err("the field `file` is empty".to_owned());
    }
    let language = match entry.language.as_deref().filter(|language| !language.is_empty()).map(str::parse) {
        None | Some(Ok(LanguageChoice::Auto)) => None,
        Some(Ok(LanguageChoice::Known(language))) => Some(language),
        Some(Err(unknown)) => return Err(unknown.to_string()),
    };
    let is_whole = !is_true(&entry.prefix_of_reference);
    Ok(Clip {
        path: folder.join(&entry.file),
        id: entry.id,
        file: entry.file,
        language,
        reference: entry.reference.filter(|reference| is_whole && !reference.is_empty()),
    })
}

/// Whether Python would treat a JSON value as true: the value is not null, false, zero or empty.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_describes_one_recording() {
        let text = r#"
            {"id": "a", "file": "x/a.wav", "language": "German", "reference": "Ja.", "seconds": 3}

            {"id": "b", "file": "b.wav", "language": null, "reference": "No", "prefix_of_reference": true}
            {"id": "c", "file": "c.wav", "reference": ""}"#;
        let clips = parse(text, Path::new("talks")).unwrap();
        assert_eq!(clips.iter().map(|clip| clip.id.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(clips[0].path, Path::new("talks/x/a.wav"));
        assert_eq!((clips[0].language, clips[0].reference.as_deref()), (Language::from_code("de"), Some("Ja.")));
        assert_eq!((clips[1].language, &clips[1].reference), (None, &None));
        assert_eq!(clips[2].reference, None);
    }

    #[test]
    fn an_invalid_line_is_rejected_with_its_number() {
        let valid = r#"{"id": "a", "file": "a.wav"}"#;
        for (invalid, words) in [
            ("{", "column"),
            ("[]", "column"),
            (r#"{"id": "b"}"#, "file"),
            (r#"{"id": "../b", "file": "b.wav"}"#, "../b"),
            (r#"{"id": "", "file": "b.wav"}"#, "valid file name"),
            (r#"{"id": "b", "file": ""}"#, "empty"),
            (r#"{"id": "b", "file": "b.wav", "language": "klingon"}"#, "klingon"),
            (valid, "twice"),
        ] {
            let (line, reason) = parse(&format!("{valid}\n\n{invalid}\n"), Path::new("")).unwrap_err();
            assert!(line == 3 && reason.contains(words), "{line}: {reason}");
        }
    }
}
