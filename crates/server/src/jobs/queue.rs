//! The job queue: operations to submit, list and cancel jobs, and to get their results.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amanuensis_decode_worker::Decoder;
use amanuensis_transcribe::{Segment, Transcript};
use tempfile::TempPath;
use tokio::sync::{Notify, Semaphore, watch};

use super::error::JobError;
use super::files::{JobFiles, in_folder};
use super::job::{Job, JobParams, JobState};
use super::settings::JobSettings;
use super::store::JobStore;

/// The job queue of a server, which also knows the finished jobs.
///
/// All methods except [`Self::run`] and [`Self::check`] access the disk and may block the thread for a few
/// milliseconds.
pub struct Jobs {
    pub(super) settings: JobSettings,
    pub(super) decoder: Decoder,
    pub(super) files: JobFiles,
    pub(super) store: JobStore,
    active: Mutex<ActiveJobs>,
    /// Wakes the runner, which starts queued jobs, when a job was added or when the server shuts down.
    pub(super) wake_runner: Notify,
    /// Limits how many recordings of new jobs are checked at the same time.
    pub(super) check_slots: Arc<Semaphore>,
}

/// The queued and running jobs in memory. Empty when the server is shutting down.
struct ActiveJobs {
    /// One sender per job id. It notifies those who follow the job that the job has changed in the database. Dropping
    /// the sender tells them that there will be no more changes.
    change_senders: HashMap<String, watch::Sender<()>>,
    is_stopping: bool,
}

impl Jobs {
    /// Locks the data directory, and queues again the jobs that a previous server process did not finish. The queue
    /// opens recordings with `decoder`.
    ///
    /// # Errors
    /// [`JobError::InUse`], [`JobError::TooNew`], [`JobError::Database`], [`JobError::Io`].
    pub fn open(settings: JobSettings, decoder: Decoder) -> Result<Self, JobError> {
        let files = JobFiles::open(&settings.directory)?;
        let store = JobStore::open(files.database())?;
        let ids = |state| -> Result<HashSet<String>, JobError> {
            // This limit means all jobs. It is `i64::MAX` instead of `usize::MAX`, because SQLite's integers are
            // signed.
            let no_limit = i64::MAX as usize;
            Ok(store.list(no_limit, None, Some(state))?.into_iter().map(|job| job.id).collect())
        };
        let queued = ids(JobState::Queued)?;
        files.remove_orphans(&queued, &ids(JobState::Succeeded)?)?;
        let change_senders = queued.into_iter().map(|id| (id, watch::Sender::new(()))).collect();
        let active = Mutex::new(ActiveJobs { change_senders, is_stopping: false });
        let check_slots = Arc::new(Semaphore::new(settings.workers));
        Ok(Self { settings, decoder, files, store, active, wake_runner: Notify::new(), check_slots })
    }

    /// The directory for the temporary files of uploads. [`Self::submit`] renames such a file, so it must be in the
    /// same file system as the data directory.
    pub fn uploads(&self) -> &Path {
        self.files.uploads()
    }

    /// Adds a job to the queue. When this method returns, the job is on disk and survives a crash.
    ///
    /// # Errors
    /// [`JobError::QueueFull`]. If there is no upload, also [`JobError::NoFolder`] and [`JobError::NotInFolder`].
    pub fn submit(&self, params: &JobParams, upload: Option<TempPath>) -> Result<Job, JobError> {
        let id = self.store.new_id()?;
        match (upload, &params.path) {
            (Some(upload), _) => self.files.keep_upload(upload, &id)?,
            (None, path) => drop(self.find_in_folder(path.as_deref().unwrap_or_default())?),
        }
        // Add the sender to `change_senders` before the job: the runner may start the job as soon as it is in the
        // database.
        let is_stopping = {
            let mut active = self.lock();
            active.change_senders.insert(id.clone(), watch::Sender::new(()));
            active.is_stopping
        };
        let added = self.store.add(&id, params, self.settings.max_queued);
        if added.is_err() {
            self.lock().change_senders.remove(&id);
            self.files.remove_upload(&id)?;
        } else if is_stopping {
            self.lock().change_senders.remove(&id);
        } else {
            self.wake_runner.notify_one();
        }
        added
    }

    /// The job with this id.
    ///
    /// # Errors
    /// [`JobError::NotFound`].
    pub fn get(&self, id: &str) -> Result<Job, JobError> {
        self.store.get(id)
    }

    /// Returns up to `limit` jobs, the newest first. With `after`, only jobs that are older than the job with this
    /// id. With `state`, only jobs in this state.
    ///
    /// # Errors
    /// [`JobError::NotFound`] if no job has the id `after`.
    pub fn list(&self, limit: usize, after: Option<&str>, state: Option<JobState>) -> Result<Vec<Job>, JobError> {
        self.store.list(limit, after, state)
    }

    /// Whether [`Self::submit`] would fail now with [`JobError::QueueFull`].
    pub fn is_queue_full(&self) -> Result<bool, JobError> {
        Ok(self.store.count(JobState::Queued)? >= self.settings.max_queued)
    }

    /// The number of queued jobs and the number of running jobs.
    pub fn unfinished(&self) -> Result<(usize, usize), JobError> {
        Ok((self.store.count(JobState::Queued)?, self.store.count(JobState::Running)?))
    }

    /// The segments of a job that have been transcribed so far, without the first `skip` segments.
    pub fn segments(&self, id: &str, skip: usize) -> Result<Vec<Segment>, JobError> {
        let checkpoints = self.store.checkpoints(id, skip)?;
        Ok(checkpoints.into_iter().flat_map(|window| window.segments).filter(|segment| segment.id >= skip).collect())
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

    /// Cancels a queued or running job, and returns the cancelled job. If the job has already ended, removes it
    /// together with its transcript, and returns `None`.
    ///
    /// # Errors
    /// [`JobError::NotFound`].
    pub fn cancel(&self, id: &str) -> Result<Option<Job>, JobError> {
        if self.store.cancel(id)? {
            self.close(id)?;
            return self.store.get(id).map(Some);
        }
        self.remove(id)?;
        Ok(None)
    }

    /// Prepares the shutdown: starts no more jobs, stops the running jobs after their current window, and ends the
    /// event streams of all jobs.
    pub fn stop(&self) {
        let mut active = self.lock();
        active.is_stopping = true;
        active.change_senders.clear();
        drop(active);
        self.wake_runner.notify_waiters();
    }

    /// Removes the jobs that finished longer ago than [`JobSettings::retention`].
    pub(super) fn remove_expired(&self) -> Result<(), JobError> {
        let Some(retention) = self.settings.retention else { return Ok(()) };
        self.store.finished_before(retention.as_secs() as i64)?.iter().try_for_each(|id| self.remove(id))
    }

    fn remove(&self, id: &str) -> Result<(), JobError> {
        self.store.remove(id)?;
        Ok(self.files.remove_result(id)?)
    }

    /// Ends the event streams of a job and deletes its uploaded recording. The caller must have stored the final
    /// state of the job before.
    pub(super) fn close(&self, id: &str) -> Result<(), JobError> {
        self.lock().change_senders.remove(id);
        Ok(self.files.remove_upload(id)?)
    }

    /// Tells those who follow a job that the job has changed in the database.
    pub(super) fn notify_followers(&self, id: &str) {
        if let Some(sender) = self.lock().change_senders.get(id) {
            sender.send_replace(());
        }
    }

    /// A receiver that is notified of changes of the job `id`. `None` if the job has finished or the server is
    /// shutting down.
    pub(super) fn subscribe(&self, id: &str) -> Option<watch::Receiver<()>> {
        self.lock().change_senders.get(id).map(watch::Sender::subscribe)
    }

    /// Whether a running job should go on. False if the job was cancelled or the server is shutting down.
    pub(super) fn is_wanted(&self, id: &str) -> bool {
        self.lock().change_senders.contains_key(id)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.lock().is_stopping
    }

    pub(super) fn find_in_folder(&self, path: &str) -> Result<PathBuf, JobError> {
        in_folder(self.settings.folder.as_deref().ok_or(JobError::NoFolder)?, path)
    }

    fn lock(&self) -> MutexGuard<'_, ActiveJobs> {
        // No code panics while it changes the active jobs. The data is therefore consistent even if a thread has
        // panicked.
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
