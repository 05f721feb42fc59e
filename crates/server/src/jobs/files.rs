//! The data directory of the job queue, with uploaded recordings and transcripts. Its files are named after job ids,
//! never after names that come from a client.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use amanuensis_transcribe::Transcript;
use tempfile::TempPath;

use super::error::JobError;

/// The data directory of the job queue, locked for this server. Dropping this value releases the lock.
pub struct JobFiles {
    uploads: PathBuf,
    results: PathBuf,
    database: PathBuf,
    _lock: File,
}

impl JobFiles {
    /// Locks the data directory, and creates it if it does not exist.
    ///
    /// # Errors
    /// [`JobError::InUse`], [`JobError::Io`].
    pub fn open(directory: &Path) -> Result<Self, JobError> {
        let (uploads, results) = (directory.join("uploads"), directory.join("results"));
        for folder in [directory, &uploads, &results] {
            make_private(folder)?;
        }
        let lock = File::create(directory.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => JobError::InUse,
            TryLockError::Error(error) => error.into(),
        })?;
        let database = directory.join("jobs.sqlite");
        make_private_file(&database)?;
        Ok(Self { uploads, results, database, _lock: lock })
    }

    /// The path of the job database.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// The directory for uploaded recordings of jobs. It also contains uploads that are still being received.
    pub fn uploads(&self) -> &Path {
        &self.uploads
    }

    /// Renames the file of a complete upload, so that it becomes the recording of the job `id`. From then on the file
    /// survives a power failure.
    pub fn keep_upload(&self, upload: TempPath, id: &str) -> io::Result<()> {
        File::open(&upload)?.sync_all()?;
        upload.persist(self.upload(id))?;
        sync(&self.uploads)
    }

    /// The path at which the uploaded recording of a job is stored.
    pub fn upload(&self, id: &str) -> PathBuf {
        self.uploads.join(id)
    }

    /// Deletes the uploaded recording of a job, if it exists.
    pub fn remove_upload(&self, id: &str) -> io::Result<()> {
        remove(&self.upload(id))
    }

    /// Writes the transcript of a job to a file. If the file exists, it is replaced atomically.
    pub fn write_result(&self, id: &str, transcript: &Transcript) -> Result<(), JobError> {
        let file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.results)?;
        let mut out = BufWriter::new(file.as_file());
        serde_json::to_writer(&mut out, transcript)?;
        out.flush()?;
        drop(out);
        file.as_file().sync_all()?;
        file.persist(self.result(id)).map_err(|error| error.error)?;
        Ok(sync(&self.results)?)
    }

    /// Reads the transcript of a job from its file.
    pub fn read_result(&self, id: &str) -> Result<Transcript, JobError> {
        Ok(serde_json::from_reader(BufReader::new(File::open(self.result(id))?))?)
    }

    /// Deletes the transcript of a job, if it exists.
    pub fn remove_result(&self, id: &str) -> io::Result<()> {
        remove(&self.result(id))
    }

    /// Deletes the files that remain after a server was killed. Keeps only the uploads of the jobs in `queued`, and
    /// the transcripts of the jobs in `succeeded`.
    pub fn remove_orphans(&self, queued: &HashSet<String>, succeeded: &HashSet<String>) -> io::Result<()> {
        for (folder, kept) in [(&self.uploads, queued), (&self.results, succeeded)] {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let name = entry.file_name();
                let id = name.to_str().map(|name| name.trim_end_matches(".json"));
                if !id.is_some_and(|id| kept.contains(id)) {
                    remove(&entry.path())?;
                }
            }
        }
        Ok(())
    }

    fn result(&self, id: &str) -> PathBuf {
        self.results.join(format!("{id}.json"))
    }
}

/// Creates a directory that only this user can read, unless it exists.
fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Creates an empty file that only this user can read, unless it exists.
fn make_private_file(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes sure that the names of new files in a directory are on disk, so that these files survive a power failure.
fn sync(directory: &Path) -> io::Result<()> {
    // On Windows, a directory cannot be opened as a file. There the names of new files are written without this call.
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// Finds the file `path` in `folder`, and returns its path with all symbolic links resolved. This path must be inside
/// the folder.
///
/// # Errors
/// [`JobError::NotInFolder`] if there is no such file in the folder, for whatever reason. The error does not state
/// the reason, because clients must not learn which other files exist.
pub fn in_folder(folder: &Path, path: &str) -> Result<PathBuf, JobError> {
    let resolved = || {
        let folder = folder.canonicalize().ok()?;
        let file = folder.join(path).canonicalize().ok()?;
        (file.starts_with(&folder) && file.is_file()).then_some(file)
    };
    resolved().ok_or_else(|| JobError::NotInFolder(path.chars().take(200).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_server_can_lock_a_data_directory() {
        let directory = tempfile::tempdir().unwrap();
        let files = JobFiles::open(&directory.path().join("a/b")).unwrap();
        assert!(matches!(JobFiles::open(&directory.path().join("a/b")), Err(JobError::InUse)));
        drop(files);
        assert!(JobFiles::open(&directory.path().join("a/b")).is_ok());
    }

    #[test]
    fn files_without_a_job_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let files = JobFiles::open(directory.path()).unwrap();
        let upload = || tempfile::NamedTempFile::new_in(files.uploads()).unwrap();
        for id in ["a", "b"] {
            files.keep_upload(upload().into_temp_path(), id).unwrap();
            fs::write(files.result(id), "{}").unwrap();
        }
        // This temporary file is like one that remains when a server is killed during an upload.
        let orphan = upload().into_temp_path().keep().unwrap();
        files.remove_orphans(&HashSet::from(["a".to_owned()]), &HashSet::from(["b".to_owned()])).unwrap();
        let there = [files.upload("a"), files.upload("b"), files.result("a"), files.result("b"), orphan];
        assert_eq!(there.map(|path| path.exists()), [true, false, false, true, false]);
        files.remove_upload("a").unwrap();
        files.remove_upload("a").unwrap();
    }

    #[test]
    fn files_outside_the_folder_are_not_found() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("recordings");
        fs::create_dir_all(folder.join("deep")).unwrap();
        for name in ["secret.wav", "recordings/a.wav", "recordings/deep/b.wav"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(directory.path().join("secret.wav"), folder.join("link.wav")).unwrap();
        let absolute = directory.path().join("secret.wav");
        assert!(in_folder(&folder, "a.wav").is_ok() && in_folder(&folder, "deep/../deep/b.wav").is_ok());
        for path in ["../secret.wav", "link.wav", "deep", "", "none.wav", "a\0.wav", absolute.to_str().unwrap()] {
            assert!(matches!(in_folder(&folder, path), Err(JobError::NotInFolder(_))), "{path}");
        }
    }
}
