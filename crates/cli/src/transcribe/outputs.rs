//! Writes transcripts to standard output, or to one file for each recording and format.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use amanuensis_transcribe::{OutputFormat, SubtitleOptions, Transcript};

use crate::atomic_file;
use crate::console;
use crate::failure::Failure;
use crate::input::Input;

/// Where transcripts are written, and in which formats.
#[derive(Debug, PartialEq, Eq)]
pub enum Outputs {
    Stdout(OutputFormat),
    Directory(PathBuf, Vec<OutputFormat>),
}

impl Outputs {
    /// Returns an error for arguments that would mix several formats in one output, or overwrite a transcript or a
    /// recording.
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
            return Err(Failure::Usage("several formats need --output-dir".into()));
        };
        if inputs.len() > 1 && !is_joinable(format) {
            let message = format!("{format} of several recordings cannot be joined; use --output-dir");
            return Err(Failure::Usage(message));
        }
        Ok(Self::Stdout(format))
    }

    /// Creates the output directory, and checks that files can be created in it.
    pub fn prepare(&self) -> Result<(), Failure> {
        let Self::Directory(directory, _) = self else { return Ok(()) };
        atomic_file::create_directory(directory)
    }

    /// Checks that the output files of `input` can be written, as far as this can be checked without writing them.
    pub fn check(&self, input: &Input) -> Result<(), String> {
        let Self::Directory(directory, formats) = self else { return Ok(()) };
        formats.iter().try_for_each(|format| {
            let path = directory.join(file_name(input, *format, true));
            atomic_file::check_path(&path).map_err(|error| format!("cannot write {}: {error}", path.display()))
        })
    }

    /// Whether segments are printed to standard output as soon as they are decoded.
    pub fn is_live(&self) -> bool {
        *self == Self::Stdout(OutputFormat::TXT)
    }

    /// Writes the transcript of `input`. Does nothing if its segments were already printed while they were decoded.
    ///
    /// If a file cannot be written, for example because the disk is full, the transcript is written to standard
    /// output instead.
    pub fn write(&self, input: &Input, transcript: &Transcript, subtitles: &SubtitleOptions) -> Result<(), Failure> {
        match self {
            Self::Stdout(_) if self.is_live() => Ok(()),
            Self::Stdout(format) => {
                let mut out = BufWriter::new(io::stdout().lock());
                format
                    .write(transcript, subtitles, &mut out)
                    .and_then(|()| out.flush())
                    .map_err(|e| Failure::from_stdout(&e))
            }
            Self::Directory(directory, formats) => {
                let failure = |format: &OutputFormat| {
                    let path = directory.join(file_name(input, *format, transcript.is_complete()));
                    let error = atomic_file::write(&path, |out| format.write(transcript, subtitles, out)).err()?;
                    let fallback = write_to_stdout(&path, transcript, subtitles, *format);
                    Some(format!("cannot write {}: {error}; {fallback}", path.display()))
                };
                let failures: Vec<String> = formats.iter().filter_map(failure).collect();
                if failures.is_empty() { Ok(()) } else { Err(Failure::Failed(failures.join("; "))) }
            }
        }
    }

    /// The paths of the files to which an incomplete transcript of `input` is written, separated by commas. `None` if
    /// transcripts go to standard output.
    pub fn partial_files(&self, input: &Input) -> Option<String> {
        let Self::Directory(directory, formats) = self else { return None };
        let path = |format: &OutputFormat| directory.join(file_name(input, *format, false)).display().to_string();
        Some(formats.iter().map(path).collect::<Vec<_>>().join(", "))
    }
}

/// Writes a transcript to standard output because it could not be written to the file at `path`. Otherwise the
/// transcript would be lost, although it may have taken hours to compute. Returns a message that tells the user where
/// the transcript is.
fn write_to_stdout(path: &Path, transcript: &Transcript, subtitles: &SubtitleOptions, format: OutputFormat) -> String {
    let mut out = BufWriter::new(io::stdout().lock());
    let heading = writeln!(out, "==> {} <==", console::printable(&path.to_string_lossy()));
    let printed = heading.and_then(|()| format.write(transcript, subtitles, &mut out)).and_then(|()| out.flush());
    match printed {
        Ok(()) => "it went to the standard output instead".to_owned(),
        Err(error) => format!("nor can it be written to the standard output: {error}"),
    }
}

/// Whether several transcripts in this format may follow each other in one stream.
fn is_joinable(format: OutputFormat) -> bool {
    // Each JSON transcript is one line. So several of them form a valid JSON Lines file.
    ["txt", "json"].contains(&format.name())
}

/// The file name of a transcript: `talk.txt`, or `talk.partial.txt` if it is incomplete. An incomplete transcript
/// must not replace a complete one.
fn file_name(input: &Input, format: OutputFormat, is_complete: bool) -> OsString {
    let mut name = input.stem();
    name.push(if is_complete { "." } else { ".partial." });
    name.push(format.name());
    name
}

/// Returns an error if two recordings have the same output file, or if an output file would overwrite a recording.
fn check_names(directory: &Path, formats: &[OutputFormat], inputs: &[Input]) -> Result<(), Failure> {
    let mut recording_of: HashMap<OsString, &Input> = HashMap::new();
    let names = inputs.iter().flat_map(|input| [true, false].map(|whole| (input, file_name(input, formats[0], whole))));
    for (input, name) in names {
        let file = directory.join(&name);
        let name = if cfg!(any(windows, target_os = "macos")) { name.to_ascii_lowercase() } else { name };
        if let Some(other) = recording_of.insert(name, input) {
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
    use std::fs;

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
    fn standard_output_supports_only_one_format() {
        let one = |format: &str, inputs: &[&str]| Outputs::new(None, &formats(&[format, format]), &files(inputs));
        assert_eq!(one("srt", &["a.mp3"]).unwrap(), Outputs::Stdout(formats(&["srt"])[0]));
        assert!(one("txt", &["a.mp3", "b.mp3"]).is_ok() && one("json", &["a.mp3", "b.mp3"]).is_ok());
        assert!(usage(one("srt", &["a.mp3", "b.mp3"])).contains("--output-dir"));
        assert!(usage(Outputs::new(None, &formats(&["txt", "srt"]), &files(&["a.mp3"]))).contains("--output-dir"));
    }

    #[test]
    fn recordings_with_the_same_output_file_are_rejected() {
        let into_directory = |inputs: &[&str]| Outputs::new(Some(Path::new("out")), &formats(&["txt"]), &files(inputs));
        assert!(into_directory(&["a.mp3", "b.mp3", "a.1.mp3"]).is_ok());
        for inputs in [["a/talk.mp3", "b/talk.mp3"], ["talk.mp3", "talk.wav"], ["talk.mp3", "talk.mp3"]] {
            let message = usage(into_directory(&inputs));
            assert!(inputs.iter().all(|input| message.contains(input)) && message.contains("talk.txt"), "{message}");
        }
        assert!(usage(into_directory(&["talk.partial.mp3", "talk.mp3"])).contains("talk.partial.txt"));
    }

    #[test]
    fn an_output_file_never_overwrites_a_recording() {
        let directory = tempfile::tempdir().unwrap();
        let recording = directory.path().join("talk.txt");
        fs::write(&recording, "RIFF").unwrap();
        let inputs = [Input::File(recording)];
        assert!(usage(Outputs::new(Some(directory.path()), &formats(&["txt"]), &inputs)).contains("overwrite"));
        assert!(Outputs::new(Some(directory.path()), &formats(&["srt"]), &inputs).is_ok());
    }

    #[test]
    fn an_incomplete_transcript_does_not_replace_a_complete_one() {
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
