//! Follows one job: returns each segment of its transcript once and in order, its progress, and its final state.

use std::collections::VecDeque;
use std::sync::Arc;

use amanuensis_transcribe::Segment;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::error::JobError;
use super::job::Job;
use super::queue::Jobs;

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq)]
pub enum JobEvent {
    /// A new segment of the transcript.
    Segment(Segment),
    /// The job has made progress. The value is the job as it is now.
    Progress(Job),
    /// The job has succeeded, has failed or was cancelled. No event follows this one.
    Finished(Job),
}

/// The event stream of a job. All events are read from the database. A notification only says that the database has
/// changed.
pub struct Follower {
    jobs: Arc<Jobs>,
    id: String,
    /// The number of segments that the client already has, from this stream or from an earlier one.
    n_segments: usize,
    /// Receives a notification when the job changes. `None` if the job has finished or the server is shutting down.
    changes: Option<watch::Receiver<()>>,
    /// Events that were read from the database and have not been returned yet.
    pending: VecDeque<JobEvent>,
    is_first: bool,
    is_complete: bool,
}

impl Jobs {
    /// Starts to follow a job. The first segment that is returned has the index `n_segments`, because the client
    /// already has the earlier ones.
    ///
    /// # Errors
    /// [`JobError::NotFound`].
    pub fn follow(self: &Arc<Self>, id: &str, n_segments: usize) -> Result<Follower, JobError> {
        let (jobs, changes) = (Arc::clone(self), self.subscribe(id));
        self.get(id)?;
        let (id, pending) = (id.to_owned(), VecDeque::new());
        Ok(Follower { jobs, id, n_segments, changes, pending, is_first: true, is_complete: false })
    }
}

impl Follower {
    /// Waits for the next event of the job. Returns `None` after [`JobEvent::Finished`], or when the server shuts
    /// down.
    ///
    /// # Errors
    /// [`JobError::NotFound`] if the job was removed. Errors of the database.
    pub async fn next(&mut self) -> Result<Option<JobEvent>, JobError> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(Some(event));
            }
            if self.is_complete {
                return Ok(None);
            }
            self.wait_for_change().await;
            self.query().await?;
        }
    }

    async fn wait_for_change(&mut self) {
        // Query the database the first time without waiting for a change, to return the segments that are already
        // stored.
        if std::mem::take(&mut self.is_first) {
            return;
        }
        let Some(changes) = &mut self.changes else { return };
        if changes.changed().await.is_err() {
            // The job queue has dropped the sender, so the job will not change any more. Query once more, then end
            // the stream.
            self.changes = None;
        }
    }

    async fn query(&mut self) -> Result<(), JobError> {
        let (jobs, id, n_segments) = (Arc::clone(&self.jobs), self.id.clone(), self.n_segments);
        let query = move || {
            // Read the job before its segments. If the job has finished by then, the segments that are read
            // afterwards are complete.
            let job = jobs.get(&id)?;
            Ok((job, jobs.segments(&id, n_segments)?))
        };
        let result: Result<_, JobError> = spawn_blocking(query).await.unwrap_or_else(|_| Err(JobError::NotFound));
        let (job, segments) = result?;
        self.n_segments = segments.last().map_or(n_segments, |segment| segment.id + 1);
        self.pending.extend(segments.into_iter().map(JobEvent::Segment));
        self.is_complete = job.state.is_final() || self.changes.is_none();
        self.pending.push_back(if job.state.is_final() { JobEvent::Finished(job) } else { JobEvent::Progress(job) });
        Ok(())
    }
}
