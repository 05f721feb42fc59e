//! Files that appear as a whole or not at all.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::NamedTempFile;

/// Whether a new file can be made in `directory`.
pub fn check_directory(directory: &Path) -> io::Result<()> {
    temporary(directory).map(drop)
}

/// Whether a file can be put at `path`, as far as can be told without doing it.
pub fn check_place(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes the file at `path`, in place of the one that may be there.
pub fn write(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = temporary(directory)?;
    let mut out = BufWriter::new(file.as_file());
    write(&mut out)?;
    out.flush()?;
    drop(out);
    // Without this, a loss of power soon after could leave the new name with nothing in it.
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn temporary(directory: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".amanuensis-");
    // What any new file would have; the umask takes its share.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    // The error names the temporary file, which means nothing to anybody; its kind says what is wrong.
    builder.tempfile_in(directory).map_err(|error| error.kind().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_as_a_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("talk.txt");
        write(&path, |out| out.write_all(b"first")).unwrap();
        let failed = write(&path, |out| out.write_all(b"sec").and(Err(io::Error::other("full"))));
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn checks_leave_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        check_directory(directory.path()).unwrap();
        check_place(&directory.path().join("talk.txt")).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn where_no_file_can_be_is_found_out() {
        let directory = tempfile::tempdir().unwrap();
        let kind = |name: &str| check_place(&directory.path().join(name)).map_err(|error| error.kind());
        fs::write(directory.path().join("old.txt"), "").unwrap();
        fs::create_dir(directory.path().join("talk.txt")).unwrap();
        assert_eq!(kind("old.txt"), Ok(()));
        assert_eq!(kind("talk.txt"), Err(io::ErrorKind::IsADirectory));
        assert!(kind(&format!("{}.txt", "long".repeat(1000))).is_err());

        let error = check_directory(&directory.path().join("none")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!error.to_string().contains(".amanuensis-"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn files_have_the_permissions_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let (plain, ours) = (directory.path().join("plain"), directory.path().join("ours"));
        fs::write(&plain, "").unwrap();
        write(&ours, |_| Ok(())).unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
