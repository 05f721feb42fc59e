//! Checks, names and opens the recordings given on the command line.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Seek, Write};
use std::path::{Path, PathBuf};

use amanuensis_transcribe::{Audio, AudioError};

use crate::console;
use crate::failure::Failure;

/// A recording given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Stdin,
    File(PathBuf),
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => console::printable(&path.to_string_lossy()).fmt(f),
        }
    }
}

impl Input {
    /// The name of the output files for this recording, without their extension.
    pub fn stem(&self) -> OsString {
        match self {
            Self::Stdin => "stdin".into(),
            // A path without a file name, such as `..`, is a directory. `check` rejects it later.
            Self::File(path) => path.file_stem().unwrap_or(path.as_os_str()).to_owned(),
        }
    }

    /// The name of the recording for the progress bar, shortened to 30 characters.
    pub fn short_name(&self) -> String {
        const MAX_CHARS: usize = 30;
        let name = self
            .path()
            .and_then(Path::file_name)
            .map_or_else(|| self.to_string(), |name| console::printable(&name.to_string_lossy()));
        match name.char_indices().nth(MAX_CHARS) {
            Some((end, _)) => format!("{}…", &name[..end]),
            None => name,
        }
    }

    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdin => None,
            Self::File(path) => Some(path),
        }
    }

    /// Checks that the recording exists and can be opened. Its contents are not read.
    pub fn check(&self) -> io::Result<()> {
        let Self::File(path) = self else { return Ok(()) };
        let metadata = fs::metadata(path).map_err(|error| {
            if is_url(path) { io::Error::new(error.kind(), "URLs are not supported; download it first") } else { error }
        })?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // Do not open a named pipe here. Opening it may block until a writer connects, and closing it may discard
        // data.
        if metadata.is_file() {
            File::open(path)?;
        }
        Ok(())
    }

    /// Opens the recording.
    ///
    /// The decoder must be able to jump to any position of the file. Standard input and pipes do not allow this, so
    /// their data is first copied to an anonymous temporary file.
    pub fn open(&self) -> Result<Audio, AudioError> {
        match self {
            Self::Stdin => Audio::from_source(copy_to_temporary_file(&mut io::stdin().lock())?),
            Self::File(path) => {
                let mut file = File::open(path)?;
                let is_regular = file.metadata()?.is_file();
                Audio::from_source(if is_regular { file } else { copy_to_temporary_file(&mut file)? })
            }
        }
    }
}

/// Whether `path` is a URL such as `https://example.org/talk.mp3`.
fn is_url(path: &Path) -> bool {
    let scheme = path.to_str().and_then(|path| path.split_once("://")).map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// Returns an error if the input `-` is given twice, or if it is given but standard input is a terminal.
pub fn check_stdin(inputs: &[Input]) -> Result<(), Failure> {
    match inputs.iter().filter(|input| **input == Input::Stdin).count() {
        1 if io::stdin().is_terminal() => Err(Failure::Usage(
            "the standard input is a terminal; redirect a recording into it, as in `< talk.mp3`".into(),
        )),
        0 | 1 => Ok(()),
        _ => Err(Failure::Usage("the standard input (`-`) can be given only once".into())),
    }
}

/// Copies `source` to an anonymous temporary file. The returned file is positioned at its beginning.
fn copy_to_temporary_file(source: &mut dyn Read) -> io::Result<File> {
    let name_directory = |error: io::Error| {
        io::Error::new(error.kind(), format!("copying it to {} failed: {error}", std::env::temp_dir().display()))
    };
    let mut file = tempfile::tempfile().map_err(name_directory)?;
    io::copy(source, &mut file).map_err(name_directory)?;
    file.flush()?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_is_the_file_name_without_its_last_extension() {
        let stem = |path: &str| Input::File(path.into()).stem();
        assert_eq!(stem("a/talk.part 1.mp3"), "talk.part 1");
        assert_eq!(stem("talk"), "talk");
        assert_eq!(stem(".hidden"), ".hidden");
        assert_eq!(Input::Stdin.stem(), "stdin");
    }

    #[test]
    fn urls_are_distinguished_from_paths() {
        let is_url = |path: &str| is_url(Path::new(path));
        assert!(is_url("https://example.org/talk.mp3") && is_url("s3://talks/1.wav"));
        assert!(!is_url("talk.mp3") && !is_url("a/b://c") && !is_url("://c"));
    }

    #[test]
    fn short_names_are_cut_after_30_characters() {
        let name = |path: &str| Input::File(path.into()).short_name();
        assert_eq!(name("a/talk.mp3"), "talk.mp3");
        assert_eq!(name(&"ä".repeat(31)), format!("{}…", "ä".repeat(30)));
        assert_eq!(name("a\u{1b}[2J"), "a\\u{1b}[2J");
        assert_eq!(Input::Stdin.short_name(), "standard input");
    }

    #[test]
    fn a_temporary_copy_is_read_from_its_beginning() {
        let mut file = copy_to_temporary_file(&mut io::Cursor::new(vec![7; 100_000])).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, vec![7; 100_000]);
    }

    #[test]
    fn missing_files_and_directories_are_rejected() {
        let kind = |path: &Path| Input::File(path.to_owned()).check().map_err(|error| error.kind());
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(kind(&directory.path().join("none.mp3")), Err(io::ErrorKind::NotFound));
        assert_eq!(kind(directory.path()), Err(io::ErrorKind::IsADirectory));
        assert_eq!(Input::Stdin.check().map_err(|error| error.kind()), Ok(()));
    }
}
