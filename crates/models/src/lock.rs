//! A lock file, which ensures that only one process at a time changes a model.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::Error;
use crate::progress::{Progress, Reporter};

const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A lock that this process holds. Dropping this value releases the lock. The empty lock file stays on the disk: if
/// it was removed, two processes could each lock a different file of the same name.
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file releases the lock")] File);

impl Lock {
    /// Waits until the lock at `path` is free and takes it. While waiting, reports [`Progress::Waiting`] to
    /// `reporter`, which can cancel.
    pub(crate) fn wait(path: &Path, model: &str, reporter: &mut Reporter<'_>) -> Result<Self, Error> {
        if let Some(lock) = Self::attempt(path)? {
            return Ok(lock);
        }
        reporter.report(Progress::Waiting { model })?;
        loop {
            thread::sleep(POLL_INTERVAL);
            reporter.tick()?;
            if let Some(lock) = Self::attempt(path)? {
                return Ok(lock);
            }
        }
    }

    /// Tries to take the lock at `path`. Returns `None` if another process holds it.
    pub(crate) fn attempt(path: &Path) -> Result<Option<Self>, Error> {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).open(path).map_err(Error::io("create", path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            // The file system does not support locks, so continue without one.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(Some(Self(file))),
            Err(TryLockError::Error(error)) => Err(Error::io("lock", path)(error)),
        }
    }
}
