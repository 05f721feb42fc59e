//! The recordings of an evaluation, and what is said in them.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use amanuensis_transcribe::Language;
use serde::Deserialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::language::Spoken;

/// A recording of the manifest.
#[derive(Debug, PartialEq, Eq)]
pub struct Clip {
    /// Its name, which can be that of a file.
    pub id: String,
    /// The recording, as the manifest has it.
    pub file: String,
    /// The recording.
    pub path: PathBuf,
    /// The language spoken, if the manifest says so.
    pub language: Option<Language>,
    /// What is said, where that is known as a whole.
    pub reference: Option<String>,
}

/// A line of the manifest; other fields are for others.
#[derive(Deserialize)]
struct Entry {
    id: String,
    file: String,
    language: Option<String>,
    reference: Option<String>,
    #[serde(default)]
    prefix_of_reference: Value,
}

/// Reads the manifest.
pub fn read(manifest: &Path) -> Result<Vec<Clip>, Failure> {
    let name = manifest.display();
    let text = fs::read_to_string(manifest)
        .map_err(|error| Failure::Failed(format!("cannot read the manifest {name}: {error}")))?;
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let clips = parse(&text, folder)
        .map_err(|(line, reason)| Failure::Failed(format!("the manifest {name}, line {line}: {reason}")))?;
    if clips.is_empty() { Err(Failure::Failed(format!("the manifest {name} names no recording"))) } else { Ok(clips) }
}

/// The recordings of a manifest in `folder`, or the number of the line that makes no sense, and why.
fn parse(text: &str, folder: &Path) -> Result<Vec<Clip>, (usize, String)> {
    let mut ids = HashSet::new();
    let mut clips = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let clip = clip(line, folder).map_err(|reason| (at + 1, reason))?;
        if !ids.insert(clip.id.clone()) {
            return Err((at + 1, format!("the id {:?} is there twice", clip.id)));
        }
        clips.push(clip);
    }
    Ok(clips)
}

fn clip(line: &str, folder: &Path) -> Result<Clip, String> {
    let entry: Entry = serde_json::from_str(line).map_err(|error| {
        // The line within the line is always the first.
        let error = error.to_string();
        error.replace(" at line 1 column", " at column")
    })?;
    if entry.id.is_empty()
        || entry.id.starts_with('.')
        || entry.id.contains(|c: char| "/\\:".contains(c) || c.is_control())
    {
        return Err(format!("the id {:?} cannot be the name of a file", entry.id));
    }
    if entry.file.is_empty() {
        return Err("the name of the file is empty".to_owned());
    }
    let language = match entry.language.as_deref().filter(|language| !language.is_empty()).map(str::parse) {
        None | Some(Ok(Spoken::Auto)) => None,
        Some(Ok(Spoken::In(language))) => Some(language),
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

/// Whether a field says yes: by being true, or a text or number that is not nothing.
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
    fn lines_are_recordings() {
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
    fn nonsense_is_refused_with_its_line() {
        let good = r#"{"id": "a", "file": "a.wav"}"#;
        for (bad, told) in [
            ("{", "column"),
            ("[]", "column"),
            (r#"{"id": "b"}"#, "file"),
            (r#"{"id": "../b", "file": "b.wav"}"#, "../b"),
            (r#"{"id": "", "file": "b.wav"}"#, "name of a file"),
            (r#"{"id": "b", "file": ""}"#, "empty"),
            (r#"{"id": "b", "file": "b.wav", "language": "klingon"}"#, "klingon"),
            (good, "twice"),
        ] {
            let (line, reason) = parse(&format!("{good}\n\n{bad}\n"), Path::new("")).unwrap_err();
            assert!(line == 3 && reason.contains(told), "{line}: {reason}");
        }
    }
}
