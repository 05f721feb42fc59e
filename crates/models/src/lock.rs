//! One process at a time works on one model of a store.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::Error;
use crate::progress::{Progress, Reporter};

const TICK: Duration = Duration::from_millis(100);

/// Held while it lives. The lock file stays behind, empty: removing it would let two processes lock two files of one
/// name.
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file releases the lock")] File);

impl Lock {
    /// Waits for the lock at `path`; `reporter` hears of the wait and may end it.
    pub(crate) fn wait(path: &Path, model: &str, reporter: &mut Reporter<'_>) -> Result<Self, Error> {
        if let Some(lock) = Self::attempt(path)? {
            return Ok(lock);
        }
        reporter.report(Progress::Waiting { model })?;
        loop {
            thread::sleep(TICK);
            reporter.tick()?;
            if let Some(lock) = Self::attempt(path)? {
                return Ok(lock);
            }
        }
    }

    /// The lock at `path`, or none if another has it.
    pub(crate) fn attempt(path: &Path) -> Result<Option<Self>, Error> {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).open(path).map_err(Error::io("create", path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            // A file system without locks: one process at a time is then the user's care.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(Some(Self(file))),
            Err(TryLockError::Error(error)) => Err(Error::io("lock", path)(error)),
        }
    }
}
