//! Writes output files atomically: a file is written under a temporary name, and gets its final name when it is
//! complete.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::failure::Failure;

/// Creates `directory` and its missing parents, and checks that files can be created in it.
pub fn create_directory(directory: &Path) -> Result<(), Failure> {
    let name = directory.display();
    fs::create_dir_all(directory).map_err(|error| {
        Failure::Failed(match error.kind() {
            io::ErrorKind::AlreadyExists => format!("{name} is a file, not a directory"),
            _ => format!("cannot make the directory {name}: {error}"),
        })
    })?;
    check_directory(directory)
        .map_err(|error| Failure::Failed(format!("cannot write into the directory {name}: {error}")))
}

/// Checks that files can be created in `directory`: creates a temporary file there and deletes it again.
fn check_directory(directory: &Path) -> io::Result<()> {
    temporary(directory).map(drop)
}

/// Checks that a file can be created or replaced at `path`. The file itself is not written, so a later write can
/// still fail, for example because the disk is full.
pub fn check_path(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Creates or replaces the file at `path` with the bytes that `write` produces. If `write` fails, an existing file
/// stays unchanged.
pub fn write(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = temporary(directory)?;
    let mut out = BufWriter::new(file.as_file());
    write(&mut out)?;
    out.flush()?;
    drop(out);
    // Write the data to the disk before the file is renamed. Otherwise, a power failure shortly after the rename
    // could leave an empty file.
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn temporary(directory: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".amanuensis-");
    // Temporary files can be read only by their owner by default. This mode gives the file the permissions of any new
    // file, from which the system removes those in the umask.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    // The error message contains the name of the temporary file, which would confuse users. So only the kind of the
    // error is kept.
    builder.tempfile_in(directory).map_err(|error| error.kind().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_keeps_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("talk.txt");
        write(&path, |out| out.write_all(b"first")).unwrap();
        let failed = write(&path, |out| out.write_all(b"sec").and(Err(io::Error::other("full"))));
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn checks_leave_no_files_behind() {
        let directory = tempfile::tempdir().unwrap();
        check_directory(directory.path()).unwrap();
        check_path(&directory.path().join("talk.txt")).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn paths_that_cannot_be_written_are_rejected() {
        let directory = tempfile::tempdir().unwrap();
        let kind = |name: &str| check_path(&directory.path().join(name)).map_err(|error| error.kind());
        fs::write(directory.path().join("old.txt"), "").unwrap();
        fs::create_dir(directory.path().join("talk.txt")).unwrap();
        assert_eq!(kind("old.txt"), Ok(()));
        assert_eq!(kind("talk.txt"), Err(io::ErrorKind::IsADirectory));
        assert!(kind(&format!("{}.txt", "long".repeat(1000))).is_err());

        let error = check_directory(&directory.path().join("none")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!error.to_string().contains(".amanuensis-"), "{error}");
    }

    #[test]
    fn a_directory_that_cannot_be_written_to_is_rejected() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = |path: &Path, words: &str| {
            let result = create_directory(path);
            assert!(matches!(&result, Err(Failure::Failed(message)) if message.contains(words)), "{result:?}");
        };
        refused(&file, "not a directory");
        assert!(create_directory(&directory.path().join("new/one")).is_ok());
        assert_eq!(fs::read_dir(directory.path().join("new/one")).unwrap().count(), 0);
        if cfg!(target_os = "linux") {
            refused(Path::new("/proc"), "cannot write");
        }
    }

    #[cfg(unix)]
    #[test]
    fn files_have_the_permissions_of_a_normal_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let (plain, ours) = (directory.path().join("plain"), directory.path().join("ours"));
        fs::write(&plain, "").unwrap();
        write(&ours, |_| Ok(())).unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
