//! The recordings: whether they are there, and how they are read.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Seek, Write};
use std::path::{Path, PathBuf};

use amanuensis_transcribe::{Audio, AudioError};

use crate::console;
use crate::failure::Failure;

/// A recording, as named on the command line.
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
    /// What files made from this recording are called, without extension.
    pub fn stem(&self) -> OsString {
        match self {
            Self::Stdin => "stdin".into(),
            // A path such as `..` is a directory, which is refused; until then it may be called what it likes.
            Self::File(path) => path.file_stem().unwrap_or(path.as_os_str()).to_owned(),
        }
    }

    /// What to call this recording where there is little room.
    pub fn short_name(&self) -> String {
        const ROOM: usize = 30;
        let name = self
            .path()
            .and_then(Path::file_name)
            .map_or_else(|| self.to_string(), |name| console::printable(&name.to_string_lossy()));
        match name.char_indices().nth(ROOM) {
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

    /// Whether this can be read, as far as can be told without reading it.
    pub fn check(&self) -> io::Result<()> {
        let Self::File(path) = self else { return Ok(()) };
        let metadata = fs::metadata(path).map_err(|error| {
            if is_address(path) {
                io::Error::new(error.kind(), "recordings are not fetched; download it first")
            } else {
                error
            }
        })?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // Opening a pipe may wait for its other end, and what has been opened once may be gone.
        if metadata.is_file() {
            File::open(path)?;
        }
        Ok(())
    }

    /// Opens the recording. What cannot be sought is copied to a file without a name first, which is gone when it is
    /// closed.
    pub fn open(&self) -> Result<Audio, AudioError> {
        match self {
            Self::Stdin => Audio::from_source(spooled(&mut io::stdin().lock())?),
            Self::File(path) => {
                let mut file = File::open(path)?;
                let is_regular = file.metadata()?.is_file();
                Audio::from_source(if is_regular { file } else { spooled(&mut file)? })
            }
        }
    }
}

/// Whether this is an address on the network, such as `https://example.org/talk.mp3`.
fn is_address(path: &Path) -> bool {
    let scheme = path.to_str().and_then(|path| path.split_once("://")).map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// Refuses what can never work: the standard input twice, or a terminal as one.
pub fn check_stdin(inputs: &[Input]) -> Result<(), Failure> {
    match inputs.iter().filter(|input| **input == Input::Stdin).count() {
        1 if io::stdin().is_terminal() => {
            Err(Failure::Usage("the standard input is a terminal; send a recording into it, as in `< talk.mp3`".into()))
        }
        0 | 1 => Ok(()),
        _ => Err(Failure::Usage("the standard input (`-`) can be read only once".into())),
    }
}

fn spooled(source: &mut dyn Read) -> io::Result<File> {
    let hint = |error: io::Error| {
        io::Error::new(error.kind(), format!("copying it to {} failed: {error}", std::env::temp_dir().display()))
    };
    let mut file = tempfile::tempfile().map_err(hint)?;
    io::copy(source, &mut file).map_err(hint)?;
    file.flush()?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems() {
        let stem = |path: &str| Input::File(path.into()).stem();
        assert_eq!(stem("a/talk.part 1.mp3"), "talk.part 1");
        assert_eq!(stem("talk"), "talk");
        assert_eq!(stem(".hidden"), ".hidden");
        assert_eq!(Input::Stdin.stem(), "stdin");
    }

    #[test]
    fn addresses() {
        let is_address = |path: &str| is_address(Path::new(path));
        assert!(is_address("https://example.org/talk.mp3") && is_address("s3://talks/1.wav"));
        assert!(!is_address("talk.mp3") && !is_address("a/b://c") && !is_address("://c"));
    }

    #[test]
    fn short_names() {
        let name = |path: &str| Input::File(path.into()).short_name();
        assert_eq!(name("a/talk.mp3"), "talk.mp3");
        assert_eq!(name(&"ä".repeat(31)), format!("{}…", "ä".repeat(30)));
        assert_eq!(name("a\u{1b}[2J"), "a\\u{1b}[2J");
        assert_eq!(Input::Stdin.short_name(), "standard input");
    }

    #[test]
    fn what_is_spooled_is_read_from_its_beginning() {
        let mut file = spooled(&mut io::Cursor::new(vec![7; 100_000])).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, vec![7; 100_000]);
    }

    #[test]
    fn what_is_not_there_is_found_out() {
        let kind = |path: &Path| Input::File(path.to_owned()).check().map_err(|error| error.kind());
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(kind(&directory.path().join("none.mp3")), Err(io::ErrorKind::NotFound));
        assert_eq!(kind(directory.path()), Err(io::ErrorKind::IsADirectory));
        assert_eq!(Input::Stdin.check().map_err(|error| error.kind()), Ok(()));
    }
}
