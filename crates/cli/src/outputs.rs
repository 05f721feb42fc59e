//! Where transcripts go: the standard output, or a file for each recording and format.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use amanuensis_transcribe::{OutputFormat, Transcript};

use crate::failure::Failure;
use crate::inputs::Input;

/// Where transcripts go, and in which format.
#[derive(Debug, PartialEq, Eq)]
pub enum Outputs {
    Stdout(OutputFormat),
    Directory(PathBuf, Vec<OutputFormat>),
}

impl Outputs {
    /// Settles it, and refuses what would lose something.
    pub fn new(directory: Option<&Path>, formats: &[OutputFormat], inputs: &[Input]) -> Result<Self, Failure> {
        let mut distinct: Vec<OutputFormat> = Vec::new();
        for format in formats {
            if !distinct.contains(format) {
                distinct.push(*format);
            }
        }
        if let Some(directory) = directory {
            check_names(directory, &distinct, inputs)?;
            return Ok(Self::Directory(directory.to_owned(), distinct));
        }
        let [format] = distinct[..] else {
            return Err(Failure::Usage("several formats need --output-dir, a directory for their files".into()));
        };
        if inputs.len() > 1 && !is_joinable(format) {
            let message = format!("{format} of several recordings cannot be put together; give --output-dir");
            return Err(Failure::Usage(message));
        }
        Ok(Self::Stdout(format))
    }

    /// Makes the directory.
    pub fn prepare(&self) -> Result<(), Failure> {
        let Self::Directory(directory, _) = self else { return Ok(()) };
        fs::create_dir_all(directory)
            .map_err(|error| Failure::Failed(format!("cannot make the directory {}: {error}", directory.display())))
    }

    /// Whether segments are written to the standard output as they are found.
    pub fn is_live(&self) -> bool {
        *self == Self::Stdout(OutputFormat::TXT)
    }

    /// Writes the transcript of `input`, if it has not been written as it came into being.
    pub fn write(&self, input: &Input, transcript: &Transcript) -> Result<(), Failure> {
        match self {
            Self::Stdout(_) if self.is_live() => Ok(()),
            Self::Stdout(format) => {
                let mut out = BufWriter::new(io::stdout().lock());
                format.write(transcript, &mut out).and_then(|()| out.flush()).map_err(|e| Failure::of_stdout(&e))
            }
            Self::Directory(directory, formats) => formats.iter().try_for_each(|format| {
                let path = directory.join(file_name(input, *format));
                write_file(&path, |out| format.write(transcript, out))
                    .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))
            }),
        }
    }
}

/// Whether several transcripts of this format, one after the other, make sense to a reader.
fn is_joinable(format: OutputFormat) -> bool {
    // JSON is written on one line each.
    ["txt", "json"].contains(&format.name())
}

fn file_name(input: &Input, format: OutputFormat) -> OsString {
    let mut name = input.stem();
    name.push(".");
    name.push(format.name());
    name
}

/// Refuses two recordings that would write the same file, and one that would be overwritten itself.
fn check_names(directory: &Path, formats: &[OutputFormat], inputs: &[Input]) -> Result<(), Failure> {
    let mut taken: HashMap<OsString, &Input> = HashMap::new();
    for input in inputs {
        let stem =
            if cfg!(any(windows, target_os = "macos")) { input.stem().to_ascii_lowercase() } else { input.stem() };
        if let Some(other) = taken.insert(stem, input) {
            let file = directory.join(file_name(input, formats[0]));
            let message = format!("{other} and {input} would both be written to {}; rename one", file.display());
            return Err(Failure::Usage(message));
        }
    }
    let Ok(directory) = directory.canonicalize() else { return Ok(()) };
    let recordings: Vec<PathBuf> = inputs.iter().filter_map(|input| input.path()?.canonicalize().ok()).collect();
    let files = inputs.iter().flat_map(|input| formats.iter().map(|format| directory.join(file_name(input, *format))));
    match files.into_iter().find(|file| recordings.contains(file)) {
        Some(file) => Err(Failure::Usage(format!("the transcript would overwrite the recording {}", file.display()))),
        None => Ok(()),
    }
}

/// Writes a file that appears as a whole or not at all.
fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".amanuensis-");
    // What any new file would have; the umask takes its share.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(directory)?;
    let mut out = BufWriter::new(file);
    write(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formats(names: &[&str]) -> Vec<OutputFormat> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn files(names: &[&str]) -> Vec<Input> {
        names.iter().map(|name| Input::File(name.into())).collect()
    }

    fn usage(outputs: Result<Outputs, Failure>) -> String {
        match outputs {
            Err(Failure::Usage(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_format_may_go_to_the_standard_output() {
        let one = |format: &str, inputs: &[&str]| Outputs::new(None, &formats(&[format, format]), &files(inputs));
        assert_eq!(one("srt", &["a.mp3"]).unwrap(), Outputs::Stdout(formats(&["srt"])[0]));
        assert!(one("txt", &["a.mp3", "b.mp3"]).is_ok() && one("json", &["a.mp3", "b.mp3"]).is_ok());
        assert!(usage(one("srt", &["a.mp3", "b.mp3"])).contains("--output-dir"));
        assert!(usage(Outputs::new(None, &formats(&["txt", "srt"]), &files(&["a.mp3"]))).contains("--output-dir"));
    }

    #[test]
    fn recordings_do_not_overwrite_each_other() {
        let into_directory = |inputs: &[&str]| Outputs::new(Some(Path::new("out")), &formats(&["txt"]), &files(inputs));
        assert!(into_directory(&["a.mp3", "b.mp3", "a.1.mp3"]).is_ok());
        for inputs in [["a/talk.mp3", "b/talk.mp3"], ["talk.mp3", "talk.wav"], ["talk.mp3", "talk.mp3"]] {
            let message = usage(into_directory(&inputs));
            assert!(inputs.iter().all(|input| message.contains(input)) && message.contains("talk.txt"), "{message}");
        }
    }

    #[test]
    fn a_recording_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let odd = directory.path().join("talk.txt");
        fs::write(&odd, "RIFF").unwrap();
        let inputs = [Input::File(odd)];
        assert!(usage(Outputs::new(Some(directory.path()), &formats(&["txt"]), &inputs)).contains("overwrite"));
        assert!(Outputs::new(Some(directory.path()), &formats(&["srt"]), &inputs).is_ok());
    }

    #[test]
    fn a_file_appears_as_a_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("talk.txt");
        write_file(&path, |out| out.write_all(b"first")).unwrap();
        let failed = write_file(&path, |out| out.write_all(b"sec").and(Err(io::Error::other("full"))));
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn files_have_the_permissions_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let (plain, ours) = (directory.path().join("plain"), directory.path().join("ours"));
        fs::write(&plain, "").unwrap();
        write_file(&ours, |_| Ok(())).unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
