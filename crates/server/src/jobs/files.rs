//! The files of jobs: a directory that is one server's, with the recordings that were uploaded and the transcripts. A name
//! in it is a job's, never one that somebody gave.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use amanuensis_transcribe::Transcript;
use tempfile::TempPath;

use super::JobError;

/// A data directory, as long as it is held.
pub struct JobFiles {
    uploads: PathBuf,
    results: PathBuf,
    database: PathBuf,
    _lock: File,
}

impl JobFiles {
    /// Takes the data directory, which is made if it is not there.
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

    /// Where the database is.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// Where uploads begin, under names of temporary files.
    pub fn uploads(&self) -> &Path {
        &self.uploads
    }

    /// Keeps an upload as that of a job.
    pub fn keep_upload(&self, upload: TempPath, id: &str) -> io::Result<()> {
        File::open(&upload)?.sync_all()?;
        upload.persist(self.upload(id))?;
        sync(&self.uploads)
    }

    /// The uploaded recording of a job.
    pub fn upload(&self, id: &str) -> PathBuf {
        self.uploads.join(id)
    }

    /// Removes the recording of a job, if there is one.
    pub fn remove_upload(&self, id: &str) -> io::Result<()> {
        remove(&self.upload(id))
    }

    /// Writes the transcript of a job, which appears as a whole.
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

    /// The transcript of a job.
    pub fn read_result(&self, id: &str) -> Result<Transcript, JobError> {
        Ok(serde_json::from_reader(BufReader::new(File::open(self.result(id))?))?)
    }

    /// Removes the transcript of a job, if there is one.
    pub fn remove_result(&self, id: &str) -> io::Result<()> {
        remove(&self.result(id))
    }

    /// Removes what a server that was killed left behind: all but the uploads of the jobs `unfinished` and the transcripts
    /// of those that `succeeded`.
    pub fn sweep(&self, unfinished: &HashSet<String>, succeeded: &HashSet<String>) -> io::Result<()> {
        for (folder, kept) in [(&self.uploads, unfinished), (&self.results, succeeded)] {
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

/// Makes a directory that others on this machine cannot read, if it is not there.
fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Makes an empty file that others on this machine cannot read, if it is not there.
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

/// Has a directory remember its names through a loss of power.
fn sync(directory: &Path) -> io::Result<()> {
    // Elsewhere a directory cannot be opened, and need not.
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// The file called `path` in `folder`, links resolved: a file, and within the folder.
///
/// # Errors
/// [`JobError::NotInFolder`], whatever the reason: what else is on the machine is nobody's business.
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
    fn a_directory_is_one_servers() {
        let directory = tempfile::tempdir().unwrap();
        let files = JobFiles::open(&directory.path().join("a/b")).unwrap();
        assert!(matches!(JobFiles::open(&directory.path().join("a/b")), Err(JobError::InUse)));
        drop(files);
        assert!(JobFiles::open(&directory.path().join("a/b")).is_ok());
    }

    #[test]
    fn what_belongs_to_no_job_is_swept_away() {
        let directory = tempfile::tempdir().unwrap();
        let files = JobFiles::open(directory.path()).unwrap();
        let upload = || tempfile::NamedTempFile::new_in(files.uploads()).unwrap();
        for id in ["a", "b"] {
            files.keep_upload(upload().into_temp_path(), id).unwrap();
            fs::write(files.result(id), "{}").unwrap();
        }
        // As a server that is killed leaves it.
        let forgotten = upload().into_temp_path().keep().unwrap();
        files.sweep(&HashSet::from(["a".to_owned()]), &HashSet::from(["b".to_owned()])).unwrap();
        let there = [files.upload("a"), files.upload("b"), files.result("a"), files.result("b"), forgotten];
        assert_eq!(there.map(|path| path.exists()), [true, false, false, true, false]);
        files.remove_upload("a").unwrap();
        files.remove_upload("a").unwrap();
    }

    #[test]
    fn nothing_outside_the_folder_is_found() {
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
