//! Long recordings that are transcribed while nobody waits at a connection, and survive the end of the server.
//!
//! A job is a row of a database (`store`) with a recording and, in the end, a transcript beside it (`files`). Every window
//! that was read is kept at once, so that a server that was killed goes on behind the last one (`runner`); whoever
//! wants to know how a job gets on asks, or follows it (`follow`).
//!
//! What is not here: HTTP.

mod check;
mod error;
mod files;
mod follow;
mod job;
mod runner;
mod schema;
mod store;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amanuensis_transcribe::{Segment, Transcript};
use tempfile::TempPath;
use tokio::sync::{Notify, Semaphore, watch};

use crate::decode::Decoder;
pub use error::JobError;
use files::{JobFiles, in_folder};
pub use follow::{Follower, JobEvent};
pub use job::{Job, JobParams, JobState, UnknownState};
use store::JobStore;

/// How jobs are done.
#[derive(Debug, Clone)]
pub struct JobSettings {
    /// Where jobs are kept; one server's alone.
    pub directory: PathBuf,
    /// A folder of recordings that jobs may name, if they may.
    pub folder: Option<PathBuf>,
    /// Jobs that are done at once.
    pub workers: usize,
    /// Jobs that may wait.
    pub max_queued: usize,
    /// The longest recording.
    pub max_duration: Duration,
    /// The longest time that a job may take, since the server was started.
    pub timeout: Duration,
    /// How long jobs are kept that have ended; for ever where there is none.
    pub retention: Option<Duration>,
}

/// The jobs of a server.
///
/// But for [`Self::run`], [`Self::check`] and [`Follower`], what is done here waits for the disk, for milliseconds.
pub struct Jobs {
    settings: JobSettings,
    decoder: Decoder,
    files: JobFiles,
    store: JobStore,
    live: Mutex<Live>,
    /// There is something to do.
    work: Notify,
    /// Recordings that may be looked at at once before they are taken.
    checks: Arc<Semaphore>,
}

/// The jobs that have not ended, as long as the server is not being stopped: those who follow one are told through its
/// channel that something has changed.
struct Live {
    changes: HashMap<String, watch::Sender<()>>,
    is_stopping: bool,
}

impl Jobs {
    /// Takes the data directory, and finds what a server before this one left undone. Recordings are decoded by `decoder`.
    ///
    /// # Errors
    /// [`JobError::InUse`], [`JobError::TooNew`], [`JobError::Database`], [`JobError::Io`].
    pub fn open(settings: JobSettings, decoder: Decoder) -> Result<Self, JobError> {
        let files = JobFiles::open(&settings.directory)?;
        let store = JobStore::open(files.database())?;
        let ids = |state| -> Result<HashSet<String>, JobError> {
            Ok(store.list(usize::MAX >> 1, None, Some(state))?.into_iter().map(|job| job.id).collect())
        };
        let unfinished = ids(JobState::Queued)?;
        files.sweep(&unfinished, &ids(JobState::Succeeded)?)?;
        let changes = unfinished.into_iter().map(|id| (id, watch::Sender::new(()))).collect();
        let live = Mutex::new(Live { changes, is_stopping: false });
        let checks = Arc::new(Semaphore::new(settings.workers));
        Ok(Self { settings, decoder, files, store, live, work: Notify::new(), checks })
    }

    /// Where a recording that is uploaded is to be put, in a temporary file.
    pub fn uploads(&self) -> &Path {
        self.files.uploads()
    }

    /// Accepts a job. When this returns, it is kept, and will be done whatever happens to the server.
    ///
    /// # Errors
    /// [`JobError::QueueFull`]; [`JobError::NoFolder`], [`JobError::NotInFolder`] where there is no upload.
    pub fn submit(&self, asked: &JobParams, upload: Option<TempPath>) -> Result<Job, JobError> {
        let id = self.store.new_id()?;
        match (upload, &asked.path) {
            (Some(upload), _) => self.files.keep_upload(upload, &id)?,
            (None, path) => drop(self.in_folder(path.as_deref().unwrap_or_default())?),
        }
        // Before a worker can see it.
        let is_stopping = {
            let mut live = self.lock();
            live.changes.insert(id.clone(), watch::Sender::new(()));
            live.is_stopping
        };
        let added = self.store.add(&id, asked, self.settings.max_queued);
        if added.is_err() {
            self.lock().changes.remove(&id);
            self.files.remove_upload(&id)?;
        } else if is_stopping {
            self.lock().changes.remove(&id);
        } else {
            self.work.notify_one();
        }
        added
    }

    /// The job called `id`.
    ///
    /// # Errors
    /// [`JobError::NotFound`].
    pub fn get(&self, id: &str) -> Result<Job, JobError> {
        self.store.get(id)
    }

    /// Up to `limit` jobs, the newest first, older than the one called `after` and in `state`, where these are given.
    ///
    /// # Errors
    /// [`JobError::NotFound`] where there is no job `after`.
    pub fn list(&self, limit: usize, after: Option<&str>, state: Option<JobState>) -> Result<Vec<Job>, JobError> {
        self.store.list(limit, after, state)
    }

    /// Whether a job would have to be refused.
    pub fn is_queue_full(&self) -> Result<bool, JobError> {
        Ok(self.store.count(JobState::Queued)? >= self.settings.max_queued)
    }

    /// How many jobs wait, and how many are being done.
    pub fn unfinished(&self) -> Result<(usize, usize), JobError> {
        Ok((self.store.count(JobState::Queued)?, self.store.count(JobState::Running)?))
    }

    /// What was found so far, but for the first `known` segments.
    pub fn segments(&self, id: &str, known: usize) -> Result<Vec<Segment>, JobError> {
        let windows = self.store.windows(id, known)?;
        Ok(windows.into_iter().flat_map(|window| window.segments).filter(|segment| segment.id >= known).collect())
    }

    /// The transcript of a job that has succeeded.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::NoResult`].
    pub fn result(&self, id: &str) -> Result<Transcript, JobError> {
        match self.store.get(id)?.state {
            JobState::Succeeded => self.files.read_result(id),
            state => Err(JobError::NoResult(state)),
        }
    }

    /// Cancels a job, or removes one that has ended, with its transcript. Gives the job as it is then, if it is still there.
    ///
    /// # Errors
    /// [`JobError::NotFound`].
    pub fn cancel(&self, id: &str) -> Result<Option<Job>, JobError> {
        if self.store.cancel(id)? {
            self.ended(id)?;
            return self.store.get(id).map(Some);
        }
        self.remove(id)?;
        Ok(None)
    }

    /// Follows a job, from behind the first `known` segments.
    ///
    /// # Errors
    /// [`JobError::NotFound`].
    pub fn follow(self: &Arc<Self>, id: &str, known: usize) -> Result<Follower, JobError> {
        let changes = self.lock().changes.get(id).map(watch::Sender::subscribe);
        self.store.get(id)?;
        Ok(Follower::new(Arc::clone(self), id, known, changes))
    }

    /// No further job is begun, those at work end behind the window that they are at, and nobody is told of any more.
    pub fn stop(&self) {
        let mut live = self.lock();
        live.is_stopping = true;
        live.changes.clear();
        drop(live);
        self.work.notify_waiters();
    }

    /// Removes jobs that ended longer ago than they are kept.
    fn remove_old(&self) -> Result<(), JobError> {
        let Some(kept) = self.settings.retention else { return Ok(()) };
        self.store.ended_before(kept.as_secs() as i64)?.iter().try_for_each(|id| self.remove(id))
    }

    fn remove(&self, id: &str) -> Result<(), JobError> {
        self.store.remove(id)?;
        Ok(self.files.remove_result(id)?)
    }

    /// A job has come to its end, which is kept: those who follow it are told, and its recording is needed no longer.
    fn ended(&self, id: &str) -> Result<(), JobError> {
        self.lock().changes.remove(id);
        Ok(self.files.remove_upload(id)?)
    }

    /// Tells those who follow a job that something has changed.
    fn tell(&self, id: &str) {
        if let Some(changes) = self.lock().changes.get(id) {
            changes.send_replace(());
        }
    }

    /// Whether a job that was begun is still to be done, now.
    fn is_wanted(&self, id: &str) -> bool {
        self.lock().changes.contains_key(id)
    }

    fn is_stopping(&self) -> bool {
        self.lock().is_stopping
    }

    fn in_folder(&self, path: &str) -> Result<PathBuf, JobError> {
        in_folder(self.settings.folder.as_deref().ok_or(JobError::NoFolder)?, path)
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        // Nothing between two states of it can panic.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
