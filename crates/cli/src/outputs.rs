//! Where transcripts go: the standard output, or a file for each recording and format.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use amanuensis_transcribe::{OutputFormat, SubtitleOptions, Transcript};

use crate::console;
use crate::failure::Failure;
use crate::file;
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

    /// Makes the directory, and makes sure that files can be made in it.
    pub fn prepare(&self) -> Result<(), Failure> {
        let Self::Directory(directory, _) = self else { return Ok(()) };
        let name = directory.display();
        fs::create_dir_all(directory).map_err(|error| {
            Failure::Failed(match error.kind() {
                io::ErrorKind::AlreadyExists => format!("{name} is a file, not a directory"),
                _ => format!("cannot make the directory {name}: {error}"),
            })
        })?;
        file::check_directory(directory)
            .map_err(|error| Failure::Failed(format!("cannot write into the directory {name}: {error}")))
    }

    /// Whether the whole transcript of `input` can be put where it belongs, as far as can be told beforehand.
    pub fn check(&self, input: &Input) -> Result<(), String> {
        let Self::Directory(directory, formats) = self else { return Ok(()) };
        formats.iter().try_for_each(|format| {
            let path = directory.join(file_name(input, *format, true));
            file::check_place(&path).map_err(|error| format!("cannot write {}: {error}", path.display()))
        })
    }

    /// Whether segments are written to the standard output as they are found.
    pub fn is_live(&self) -> bool {
        *self == Self::Stdout(OutputFormat::TXT)
    }

    /// Writes the transcript of `input`, if it has not been written as it came into being.
    ///
    /// What cannot be written to its file any more, as when the disk is full, goes to the standard output.
    pub fn write(&self, input: &Input, transcript: &Transcript, subtitles: &SubtitleOptions) -> Result<(), Failure> {
        match self {
            Self::Stdout(_) if self.is_live() => Ok(()),
            Self::Stdout(format) => {
                let mut out = BufWriter::new(io::stdout().lock());
                format
                    .write(transcript, subtitles, &mut out)
                    .and_then(|()| out.flush())
                    .map_err(|e| Failure::of_stdout(&e))
            }
            Self::Directory(directory, formats) => {
                let failure = |format: &OutputFormat| {
                    let path = directory.join(file_name(input, *format, transcript.is_complete()));
                    let error = file::write(&path, |out| format.write(transcript, subtitles, out)).err()?;
                    let rescue = rescue(&path, transcript, subtitles, *format);
                    Some(format!("cannot write {}: {error}; {rescue}", path.display()))
                };
                let failures: Vec<String> = formats.iter().filter_map(failure).collect();
                if failures.is_empty() { Ok(()) } else { Err(Failure::Failed(failures.join("; "))) }
            }
        }
    }

    /// What the files of an incomplete transcript are called, for people; none where there are no files.
    pub fn partial_files(&self, input: &Input) -> Option<String> {
        let Self::Directory(directory, formats) = self else { return None };
        let path = |format: &OutputFormat| directory.join(file_name(input, *format, false)).display().to_string();
        Some(formats.iter().map(path).collect::<Vec<_>>().join(", "))
    }
}

/// Writes a transcript that has lost its place at `path` to the standard output, as it may have taken hours; says how
/// that went.
fn rescue(path: &Path, transcript: &Transcript, subtitles: &SubtitleOptions, format: OutputFormat) -> String {
    let mut out = BufWriter::new(io::stdout().lock());
    let heading = writeln!(out, "==> {} <==", console::printable(&path.to_string_lossy()));
    let printed = heading.and_then(|()| format.write(transcript, subtitles, &mut out)).and_then(|()| out.flush());
    match printed {
        Ok(()) => "it went to the standard output instead".to_owned(),
        Err(error) => format!("nor can it be written to the standard output: {error}"),
    }
}

/// Whether several transcripts of this format, one after the other, make sense to a reader.
fn is_joinable(format: OutputFormat) -> bool {
    // JSON is written on one line each.
    ["txt", "json"].contains(&format.name())
}

/// `talk.txt`; `talk.partial.txt` where the transcript is not complete, so that it never takes the place of one that is.
fn file_name(input: &Input, format: OutputFormat, is_complete: bool) -> OsString {
    let mut name = input.stem();
    name.push(if is_complete { "." } else { ".partial." });
    name.push(format.name());
    name
}

/// Refuses two recordings that would write the same file, and one that would be overwritten itself.
fn check_names(directory: &Path, formats: &[OutputFormat], inputs: &[Input]) -> Result<(), Failure> {
    let mut taken: HashMap<OsString, &Input> = HashMap::new();
    let names = inputs.iter().flat_map(|input| [true, false].map(|whole| (input, file_name(input, formats[0], whole))));
    for (input, name) in names {
        let file = directory.join(&name);
        let name = if cfg!(any(windows, target_os = "macos")) { name.to_ascii_lowercase() } else { name };
        if let Some(other) = taken.insert(name, input) {
            let message = format!("{other} and {input} would both be written to {}; rename one", file.display());
            return Err(Failure::Usage(message));
        }
    }
    let Ok(directory) = directory.canonicalize() else { return Ok(()) };
    let recordings: Vec<PathBuf> = inputs.iter().filter_map(|input| input.path()?.canonicalize().ok()).collect();
    let files =
        inputs.iter().flat_map(|input| formats.iter().map(|format| directory.join(file_name(input, *format, true))));
    match files.into_iter().find(|file| recordings.contains(file)) {
        Some(file) => Err(Failure::Usage(format!("the transcript would overwrite the recording {}", file.display()))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use amanuensis_transcribe::{Ending, Task, Timings};

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
        assert!(usage(into_directory(&["talk.partial.mp3", "talk.mp3"])).contains("talk.partial.txt"));
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
    fn a_directory_that_cannot_be_written_to_is_found_out_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let prepare = |path: &Path| Outputs::Directory(path.to_owned(), formats(&["txt"])).prepare();
        assert!(matches!(prepare(&file), Err(Failure::Failed(message)) if message.contains("not a directory")));
        assert!(prepare(&directory.path().join("new/one")).is_ok());
        assert_eq!(fs::read_dir(directory.path().join("new/one")).unwrap().count(), 0);
        #[cfg(target_os = "linux")]
        assert!(
            matches!(prepare(Path::new("/proc")), Err(Failure::Failed(message)) if message.contains("cannot write"))
        );
    }

    #[test]
    fn an_incomplete_transcript_leaves_a_complete_one_alone() {
        let directory = tempfile::tempdir().unwrap();
        let input = Input::File("a/talk.mp3".into());
        let outputs = Outputs::Directory(directory.path().to_owned(), formats(&["txt", "json"]));
        let transcript = |ending| Transcript {
            task: Task::Transcribe,
            language: None,
            duration: 1.0,
            segments: Vec::new(),
            model: "base".to_owned(),
            timings: Timings::default(),
            warnings: Vec::new(),
            ending,
        };
        outputs.write(&input, &transcript(Ending::Complete), &SubtitleOptions::default()).unwrap();
        outputs.write(&input, &transcript(Ending::Cancelled), &SubtitleOptions::default()).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["talk.json", "talk.partial.json", "talk.partial.txt", "talk.txt"]);
        assert!(fs::read_to_string(directory.path().join("talk.partial.json")).unwrap().contains("cancelled"));
        assert!(!fs::read_to_string(directory.path().join("talk.json")).unwrap().contains("cancelled"));
        assert!(outputs.partial_files(&input).unwrap().ends_with("talk.partial.json"));
    }
}
