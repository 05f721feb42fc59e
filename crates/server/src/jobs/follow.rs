//! Follows one job: returns each segment once and in order, the progress, and the final state.

use std::collections::VecDeque;
use std::sync::Arc;

use amanuensis_transcribe::Segment;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::error::JobError;
use super::job::Job;
use super::queue::Jobs;

/// An event of a job.
#[derive(Debug, Clone, PartialEq)]
pub enum JobEvent {
    /// A new segment.
    Segment(Segment),
    /// The job has made progress.
    Progress(Job),
    /// The job has succeeded, has failed or was cancelled. This is the last event.
    Finished(Job),
}

/// The event stream of a job. All events are read from the database. The notification channel only tells when the
/// database has changed.
pub struct Follower {
    jobs: Arc<Jobs>,
    id: String,
    /// The number of segments that this follower has returned, or that the client already has from an earlier stream.
    n_segments: usize,
    /// Notifies of changes of the job. `None` if the job has finished or the server is shutting down.
    changes: Option<watch::Receiver<()>>,
    /// Events that were read from the database and have not been returned yet.
    pending: VecDeque<JobEvent>,
    is_first: bool,
    is_complete: bool,
}

impl Jobs {
    /// Follows a job. The first segment that is returned has the index `n_segments`.
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
    /// Waits for the next event. Returns `None` after [`JobEvent::Finished`], or when the server shuts down.
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
        // The first query does not wait for a change: it returns the segments that are already stored.
        if std::mem::take(&mut self.is_first) {
            return;
        }
        let Some(changes) = &mut self.changes else { return };
        if changes.changed().await.is_err() {
            // The sender was dropped, so there will be no more changes. Query once more, then end the stream.
            self.changes = None;
        }
    }

    async fn query(&mut self) -> Result<(), JobError> {
        let (jobs, id, n_segments) = (Arc::clone(&self.jobs), self.id.clone(), self.n_segments);
        let query = move || {
            // Read the job before its segments. If the job has finished, the segments read afterwards are complete.
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
